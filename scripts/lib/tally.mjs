import { readFileSync } from 'node:fs'

/** Adds up what passed and failed. A runner that ended badly without a failed test counts as one failure. */
export class Tally {
  passed = 0
  failed = 0

  add({ passed, failed }) {
    this.passed += passed
    this.failed += failed
  }

  get line() {
    return `${this.passed} passed, ${this.failed} failed`
  }
}

/** From vitest's JSON report; a file that could not even be loaded counts as one failure. */
export function countVitest(file, ok) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    const broken = report.testResults.filter(
      (suite) =>
        suite.status === 'failed' && !suite.assertionResults.some((test) => test.status === 'failed'),
    )
    return atLeastOne({ passed: report.numPassedTests, failed: report.numFailedTests + broken.length }, ok)
  } catch {
    return { passed: 0, failed: 1 }
  }
}

/** From pytest's JUnit XML. */
export function countPytest(file, ok) {
  try {
    const suites = readFileSync(file, 'utf8').match(/<testsuite [^>]*>/g) ?? []
    const sum = (name) =>
      suites.reduce(
        (total, suite) => total + Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0),
        0,
      )
    const failed = sum('failures') + sum('errors')
    return atLeastOne({ passed: sum('tests') - failed - sum('skipped'), failed }, ok)
  } catch {
    return { passed: 0, failed: 1 }
  }
}

function atLeastOne({ passed, failed }, ok) {
  return { passed, failed: ok ? failed : Math.max(1, failed) }
}
