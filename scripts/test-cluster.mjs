import { main } from './lib/steps.mjs'
import { runVitest, setUpForTests } from './lib/suites.mjs'
import { Tally } from './lib/tally.mjs'

// npm run test:cluster [-- arguments of vitest]: needs Docker and kubectl, or FP_E2E_KUBECONFIG (see CONTRIBUTING.md).
await main(async () => {
  await setUpForTests()
  const tally = new Tally()
  // The verbose reporter prints the name of each test.
  await runVitest(tally, 'cluster', ['--project=cluster', ...process.argv.slice(2)], 'verbose')
  tally.report()
})
