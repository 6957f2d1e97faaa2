import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

// npm run mutation -w scaler [-- picker coordination/ledger … --chaos]: do the unit tests notice when the scaler's core is
// changed? Without names, all files of the core. With --chaos, the short walks of the chaos test decide about what has survived.
// Not part of CI, because it takes an hour. Results are kept in .fp/stryker: the next run tries only what has changed and what
// has survived. What may survive is listed in docs/mutants.md.

/** What is mutated: the state machines of the core. Drivers and HTTP are tested with real processes, too slowly for this. */
const CORE = [
  ...['picker', 'breaker', 'replicas', 'health', 'autoscaler'],
  ...['ledger', 'ledger-copy', 'target-lock', 'lock-state', 'shared-places'].map(inCoordination),
  ...['heartbeats', 'membership', 'pulse', 'stored-ledger', 'bounded-store'].map(inCoordination),
  ...['admission', 'wake', 'wake-turns', 'awake-room', 'fair-queue'],
  ...['target', 'target-parts', 'lifecycle', 'sleep'],
]

const ROOT = path.resolve(import.meta.dirname, '../../..')
const STATE = path.join(ROOT, '.fp/stryker')
const VERSION = '10.1.1'
const CHAOS = '--chaos'

const asked = process.argv.slice(2).filter((argument) => argument !== CHAOS)
for (const name of asked)
  if (!existsSync(sourceFile(name))) throw new Error(`There is no file scaler/src/${name}.ts.`)

await install()
await run(asked.length > 0 ? asked : CORE)

function inCoordination(name: string): string {
  return `coordination/${name}`
}

function sourceFile(name: string): string {
  return path.join(ROOT, 'scaler/src', `${name}.ts`)
}

/** Stryker is no dev dependency: its 110 packages (60 MB) would be installed by everybody and used by few. */
async function install(): Promise<void> {
  if (existsSync(path.join(STATE, 'node_modules/@stryker-mutator/vitest-runner'))) return
  await mkdir(STATE, { recursive: true })
  await writeFile(path.join(STATE, 'package.json'), '{ "private": true }')
  const packages = ['core', 'vitest-runner'].map((name) => `@stryker-mutator/${name}@${VERSION}`)
  // Without peer dependencies: Stryker runs the Vitest of this repository.
  const args = ['install', '--no-audit', '--no-fund', '--legacy-peer-deps', ...packages]
  execFileSync('npm', args, { cwd: STATE, stdio: 'inherit' })
}

async function run(names: readonly string[]): Promise<void> {
  const config = path.join(STATE, 'config.json')
  await writeFile(config, JSON.stringify(options(names), null, 2))
  const stryker = path.join(STATE, 'node_modules/@stryker-mutator/core/bin/stryker.js')
  const env = { ...process.env, MUTATION_CHAOS: process.argv.includes(CHAOS) ? '1' : '' }
  const { status } = spawnSync(process.execPath, [stryker, 'run', config], {
    cwd: ROOT,
    stdio: 'inherit',
    env,
  })
  process.exitCode = status ?? 1
}

/** The options of Stryker. */
function options(names: readonly string[]): object {
  const own = 'scaler/scripts/mutation'
  return {
    mutate: names.map((name) => `scaler/src/${name}.ts`),
    testRunner: 'vitest',
    vitest: { configFile: `${own}/vitest.config.ts`, related: false },
    plugins: [
      path.join(STATE, 'node_modules/@stryker-mutator/vitest-runner/dist/src/index.js'),
      path.join(ROOT, own, 'ignore-texts.ts'),
    ],
    ignorers: ['texts'],
    coverageAnalysis: 'perTest',
    // What runs when a file is imported can be tested only by importing it again for each mutant: constants of time, mostly.
    ignoreStatic: true,
    incremental: true,
    incrementalFile: path.join(STATE, 'incremental.json'),
    tempDirName: path.join(STATE, 'sandboxes'),
    ignorePatterns: ['/*', '!/scaler', '!/*.json', '/scaler/{dist,build}'],
    concurrency: 2,
    timeoutMS: 3_000,
    reporters: ['progress-append-only', 'clear-text', 'json'],
    clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false, reportTests: false },
    jsonReporter: { fileName: path.join(STATE, 'report.json') },
    thresholds: { high: 95, low: 85, break: 85 },
  }
}
