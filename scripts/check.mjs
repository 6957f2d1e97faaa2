import path from 'node:path'
import { inRoot, inState, NODE } from './lib/paths.mjs'
import { run } from './lib/run.mjs'
import { main } from './lib/steps.mjs'
import { runSuites, setUpForTests } from './lib/suites.mjs'
import { Tally } from './lib/tally.mjs'

const javascript = (file, ...args) => [NODE, [inRoot('node_modules', file), ...args]]
const python = (module, ...args) => [
  inState('venv-dev/bin/python'),
  ['-m', module, ...args],
  inRoot('runner'),
]

/** Name, command, arguments, folder. They run one after the other, as some read the output of the one before. */
const CHECKS = [
  ['types', ...javascript('typescript/bin/tsc', '-p', 'tsconfig.json')],
  ['console routes', NODE, [inRoot('node_modules/@sveltejs/kit/svelte-kit.js'), 'sync'], inRoot('console')],
  [
    'console types',
    ...javascript('svelte-check/bin/svelte-check', '--tsconfig', './tsconfig.json', '--output', 'machine'),
    inRoot('console'),
  ],
  ['lint', ...javascript('eslint/bin/eslint.js', '.', '--max-warnings=0')],
  ['format', ...javascript('prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.')],
  ['glossary', NODE, [inRoot('scripts/glossary.mjs')]],
  ['conventions', NODE, [inRoot('scripts/conventions.mjs')]],
  ['error codes', NODE, [inRoot('scripts/errors.mjs'), '--check']],
  ['knip', ...javascript('knip/bin/knip.js')],
  ['ruff check', ...python('ruff', 'check', '.')],
  ['ruff format', ...python('ruff', 'format', '--check', '.')],
  ['mypy', ...python('mypy')],
]

/** Takes half as long as all others together and uses one processor, so it runs at the same time. */
const PACKAGE = ['scaler package', NODE, [inRoot('scaler/scripts/check-package.ts')], inRoot('scaler')]

// npm run check [-- --static]: --static runs no tests.
await main(async () => {
  const isStatic = process.argv.includes('--static')
  await setUpForTests({ browser: !isStatic })
  const tally = new Tally()
  const packageCheck = check(...PACKAGE)
  for (const each of CHECKS) tally.add(await check(...each))
  tally.add(await packageCheck)
  if (!isStatic) await runSuites(tally)
  tally.report()
})

async function check(name, command, args, cwd) {
  const begun = performance.now()
  const env = { PATH: `${path.dirname(NODE)}:${process.env.PATH}` }
  const failure = await run(command, args, { cwd, env }).then(
    () => undefined,
    (error) => error,
  )
  console.log(`  ${failure ? '✗' : '✓'} ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`)
  if (!failure) return { passed: 1, failed: 0, failures: [] }
  console.log(failure.output.trim().replace(/^/gm, '      '))
  return { passed: 0, failed: 1, failures: [`${name}\n${failure.output}`] }
}
