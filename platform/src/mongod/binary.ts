import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { promisify } from 'node:util'

/** The first candidate that exists and starts. The error says what to install or set. */
export async function findMongod(candidates: readonly string[]): Promise<string> {
  const reasons: string[] = []
  for (const file of candidates) {
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!executable) continue
    const reason = await whyNotRunnable(file)
    if (reason === undefined) return file
    reasons.push(`${file}: ${reason}`)
  }
  throw new Error(
    [
      'No MongoDB was found.',
      ...reasons,
      'Set MONGODB_URI to a replica set, install mongod (6.0 or newer) on the PATH, set FP_MONGOD to its file, or run ' +
        '`npm start`, which installs one for Linux on x86-64.',
    ].join('\n'),
  )
}

async function whyNotRunnable(file: string): Promise<string | undefined> {
  try {
    await promisify(execFile)(file, ['--version'], { timeout: 10_000 })
    return undefined
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr || (error as Error).message).trim()
    const library = /error while loading shared libraries: (\S+):/.exec(text)?.[1]
    if (!library) return text.split('\n', 1)[0]
    const name = library.startsWith('libcurl') ? 'libcurl4' : `the package with ${library}`
    return `it needs ${library}, which is missing. On Debian and Ubuntu: apt-get install ${name}`
  }
}
