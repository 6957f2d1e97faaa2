import { main } from './lib/steps.mjs'
import { runSuites, setUpForTests } from './lib/suites.mjs'
import { Tally } from './lib/tally.mjs'

// npm test [-- arguments of vitest]
await main(async () => {
  await setUpForTests()
  const tally = new Tally()
  await runSuites(tally, process.argv.slice(2))
  console.log(`\n${tally.line}`)
  process.exitCode = tally.failed > 0 ? 1 : 0
})
