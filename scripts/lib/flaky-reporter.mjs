/** A vitest reporter that names the tests that passed only when they were tried again. */
export default class FlakyReporter {
  #flaky = []

  onTestCaseResult(test) {
    if (test.diagnostic()?.flaky) this.#flaky.push(`${test.module.relativeModuleId} > ${test.fullName}`)
  }

  onTestRunEnd() {
    if (this.#flaky.length === 0) return
    console.log('\nFlaky, passed only when tried again:')
    for (const name of this.#flaky) console.log(`  ~ ${name}`)
  }
}
