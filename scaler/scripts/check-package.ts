import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

// npm run check:package -w scaler: is what npm would publish complete, small, and usable by a stranger?

/** Bytes of the packed package. */
const MAX_PACKED = 140_000
/** Nothing else belongs in the package. */
const CONTENTS = /^(dist\/.+\.(js|d\.ts)|README\.md|CHANGELOG\.md|LICENSE|package\.json)$/
/** Which of the optional peer dependencies a subpath needs; the others need none. */
const PEERS: Readonly<Record<string, readonly string[]>> = {
  './http': ['@fastify/http-proxy', 'fastify', 'undici'],
  './otel': ['@opentelemetry/api'],
  './kubernetes': ['@kubernetes/client-node', 'undici'],
}

interface Manifest {
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies: Readonly<Record<string, string>>
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly files: readonly { readonly path: string }[]
}

const PACKAGE = path.resolve(import.meta.dirname, '..')
const MODULES = path.resolve(PACKAGE, '../node_modules')
const manifest = JSON.parse(await readFile(path.join(PACKAGE, 'package.json'), 'utf8')) as Manifest

const folder = await mkdtemp(path.join(tmpdir(), 'fp-scaler-package-'))
try {
  await run('npm', ['run', 'build'])
  const tarball = await pack()
  await run('publint', ['--strict', tarball])
  await run('attw', ['--profile', 'esm-only', tarball])
  const dependencies = Object.keys(manifest.dependencies)
  const core = Object.keys(manifest.exports).filter(
    (subpath) => !(subpath in PEERS) && subpath !== './package.json',
  )
  await use(tarball, 'core', core, dependencies)
  for (const [subpath, peers] of Object.entries(PEERS)) {
    await use(tarball, path.basename(subpath), [subpath], [...dependencies, ...peers])
  }
  const contract = await use(tarball, 'contract', ['./contract'], dependencies)
  await testContracts(contract)
} finally {
  await rm(folder, { recursive: true })
}

/** Packs what has been built, and looks at what is in it. */
async function pack(): Promise<string> {
  const output = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder])
  const [packed] = JSON.parse(output) as [Packed]
  const { size, files, filename } = packed
  console.log(`${size} bytes packed (at most ${MAX_PACKED}), ${files.length} files`)
  if (size > MAX_PACKED) throw new Error('The package is too large.')
  const claim = `at most ${MAX_PACKED / 1000} kB packed`
  const readme = await readFile(path.join(PACKAGE, 'README.md'), 'utf8')
  if (!readme.includes(claim)) throw new Error(`The README does not say that the package has ${claim}.`)
  const strays = files.filter((file) => !CONTENTS.test(file.path))
  if (strays.length > 0) throw new Error(`Not to be packed: ${strays.map((file) => file.path).join(', ')}`)
  return path.join(folder, filename)
}

/**
 * Installs the package in a project of its own, with no other modules but those named; imports the subpaths, then
 * type-checks and runs the program of that name. The modules are links, so that no registry is asked.
 */
async function use(
  tarball: string,
  consumer: string,
  subpaths: readonly string[],
  modules: readonly string[],
): Promise<string> {
  const project = path.join(folder, consumer)
  const installed = path.join(project, 'node_modules/@fp/scaler')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  for (const name of [...modules, '@types/node']) {
    const link = path.join(project, 'node_modules', name)
    await mkdir(path.dirname(link), { recursive: true })
    await symlink(path.join(MODULES, name), link)
  }
  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }')
  await copyFile(consumerFile(consumer), path.join(project, 'main.ts'))

  for (const subpath of subpaths) {
    const name = path.posix.join('@fp/scaler', subpath)
    await run(process.execPath, ['--input-type=module', '-e', `await import('${name}')`], project)
  }
  for (const exact of ['true', 'false']) {
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022', '--types', 'node']
    await run('tsc', [...options, '--exactOptionalPropertyTypes', exact, 'main.ts'], project)
  }
  await run(process.execPath, ['main.ts'], project)
  return project
}

/** The contracts pass for the package's own process driver and memory coordination, by each of the test frameworks. */
async function testContracts(project: string): Promise<void> {
  await copyFile(consumerFile('contract'), path.join(project, 'contract.ts'))
  await copyFile(consumerFile('contract-node'), path.join(project, 'contract-node.ts'))
  await copyFile(consumerFile('contract-vitest'), path.join(project, 'contract.test.ts'))
  await symlink(path.join(MODULES, 'vitest'), path.join(project, 'node_modules/vitest'))
  await run(process.execPath, ['--test', 'contract-node.ts'], project)
  const vitest = path.join(MODULES, 'vitest/vitest.mjs')
  await run(process.execPath, [vitest, 'run', '--root', project, '--testTimeout', '60000'], project)
}

function consumerFile(name: string): string {
  return path.join(import.meta.dirname, 'consumers', `${name}.ts`)
}

/** Resolves to what the command says; where it fails, that is shown. */
async function run(command: string, args: readonly string[], cwd = PACKAGE): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { cwd })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error })
  }
}
