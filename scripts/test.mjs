import { main } from './lib/steps.mjs'
import { runSuites, setUpForTests } from './lib/suites.mjs'
import { Tally } from './lib/tally.mjs'

// npm test [-- arguments of vitest]
await main(async () => {
  await setUpForTests()
  const tally = new Tally()
  await runSuites(tally, process.argv.slice(2))
  tally.report()
})
