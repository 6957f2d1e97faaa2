import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { aptInstall } from './mongod.mjs'
import { inRoot, inState, NODE, ROOT } from './paths.mjs'
import { pythonEnvironment } from './python.mjs'
import { run } from './run.mjs'
import { setUp } from './setup.mjs'
import { step } from './steps.mjs'
import { countPytest, countVitest } from './tally.mjs'

export const DEV_PYTHON = inState('venv-dev/bin/python')

/** Installs what the tests and checks need, and what the platform needs. */
export async function setUpForTests({ browser = true } = {}) {
  await setUp()
  await step('Python tools', pythonEnvironment('venv-dev', 'runner/requirements-dev.lock'))
  const needsBrowser = browser && existsSync(inRoot('e2e')) && !existsSync('/usr/bin/chromium')
  await step('Chromium', needsBrowser && (() => aptInstall('chromium', 'the browser tests need it')))
}

/** Runs every suite, shows its output, and adds what passed and failed to the tally. */
export async function runSuites(tally, vitestArguments = []) {
  const reports = inState('reports')
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports, { recursive: true })

  console.log('\n== TypeScript: unit, integration, browser ==\n')
  // Tests that need a cluster have a command of their own.
  await runVitest(tally, 'vitest', ['--project=!cluster', ...vitestArguments])

  console.log('\n== Python ==\n')
  const xml = inState('reports/pytest.xml')
  const pytestOk = await shown(DEV_PYTHON, ['-m', 'pytest', '-q', `--junitxml=${xml}`], inRoot('runner'))
  tally.add(countPytest(xml, pytestOk))
}

/** Runs vitest, shows its output, and adds what passed and failed to the tally. */
export async function runVitest(tally, report, args, reporter = 'default') {
  const json = inState(`reports/${report}.json`)
  mkdirSync(inState('reports'), { recursive: true })
  const vitest = [
    inRoot('node_modules/vitest/vitest.mjs'),
    'run',
    `--reporter=${reporter}`,
    '--reporter=json',
    `--reporter=${inRoot('scripts/lib/test-reporter.mjs')}`,
  ]
  const ok = await shown(NODE, [...vitest, `--outputFile.json=${json}`, ...args], ROOT)
  tally.add(countVitest(json, ok))
}

function shown(command, args, cwd) {
  return run(command, args, {
    cwd,
    show: true,
    env: { PATH: `${inRoot('node_modules/.bin')}:${process.env.PATH}` },
  }).then(
    () => true,
    () => false,
  )
}
