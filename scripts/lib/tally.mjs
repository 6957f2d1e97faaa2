import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './paths.mjs'

/** The lines of a failure that are printed again at the end. */
const MAX_LINES = 12

/**
 * Counts what passed and failed. A test runner that failed without a failed test counts as one failure.
 * `failures` are texts: the name of the test, and the error below it.
 */
export class Tally {
  passed = 0
  failed = 0
  failures = []

  add({ passed, failed, failures }) {
    this.passed += passed
    this.failed += failed
    this.failures.push(...failures)
  }

  /** Prints the failures again, and the sum as the last line. Sets the exit code. */
  report() {
    if (this.failures.length > 0) console.log('\nFailed:')
    for (const failure of this.failures) console.log(`  ✗ ${brief(failure).join('\n      ')}`)
    console.log(`\n${this.passed} passed, ${this.failed} failed`)
    process.exitCode = this.failed > 0 ? 1 : 0
  }
}

function brief(failure) {
  const lines = failure.trim().split('\n')
  return lines.filter((line) => !line.includes('node_modules')).slice(0, MAX_LINES)
}

/** Reads vitest's JSON report. A file that could not be loaded counts as one failure. */
export function countVitest(file, ok) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    const failures = report.testResults.flatMap((suite) => {
      const where = path.relative(ROOT, suite.name)
      const failed = suite.assertionResults.filter((test) => test.status === 'failed')
      if (failed.length === 0 && suite.status === 'failed') return [`${where}\n${suite.message}`]
      return failed.map((test) => `${where} > ${test.fullName}\n${test.failureMessages.join('\n')}`)
    })
    return atLeastOne('vitest', { passed: report.numPassedTests, failed: failures.length, failures }, ok)
  } catch {
    return { passed: 0, failed: 1, failures: ['vitest left no report'] }
  }
}

const FAILED_CASE =
  /<testcase classname="([^"]*)" name="([^"]*)"[^>]*[^/]>(?:(?!<\/testcase>)[^])*?<(?:failure|error) message="([^"]*)"/g

/** Reads pytest's JUnit XML. */
export function countPytest(file, ok) {
  try {
    const xml = readFileSync(file, 'utf8')
    const suites = xml.match(/<testsuite [^>]*>/g) ?? []
    const sum = (name) =>
      suites.reduce(
        (total, suite) => total + Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0),
        0,
      )
    const failed = sum('failures') + sum('errors')
    const failures = [...xml.matchAll(FAILED_CASE)].map(
      ([, where, name, message]) => `${where} > ${name}\n${message.replaceAll('&#10;', '\n')}`,
    )
    return atLeastOne('pytest', { passed: sum('tests') - failed - sum('skipped'), failed, failures }, ok)
  } catch {
    return { passed: 0, failed: 1, failures: ['pytest left no report'] }
  }
}

function atLeastOne(runner, counted, ok) {
  if (ok || counted.failed > 0) return counted
  return { ...counted, failed: 1, failures: [`${runner} ended badly, though no test failed`] }
}
