/** How much of an error is shown while other tests still run. Vitest shows all of it at the end. */
const MAX_LINES = 8

/** A vitest reporter: names each test when it fails, and at the end those that passed only when they were tried again. */
export default class TestReporter {
  #flaky = []

  onTestCaseResult(test) {
    if (test.diagnostic()?.flaky) this.#flaky.push(nameOf(test))
    const { state, errors = [] } = test.result()
    if (state === 'failed') this.#tell(nameOf(test), errors)
  }

  /** A file that could not be loaded has no tests that could fail. */
  onTestModuleEnd(module) {
    if (module.errors().length > 0) this.#tell(module.relativeModuleId, module.errors())
  }

  onTestRunEnd() {
    if (this.#flaky.length === 0) return
    console.log('\nFlaky, passed only when tried again:')
    for (const name of this.#flaky) console.log(`  ~ ${name}`)
  }

  #tell(name, errors) {
    const text = errors.map((error) => error.message ?? String(error)).join('\n')
    console.log(`✗ FAILED ${name}\n${text.split('\n').slice(0, MAX_LINES).join('\n').replace(/^/gm, '    ')}`)
  }
}

const nameOf = (test) => `${test.module.relativeModuleId} > ${test.fullName}`
