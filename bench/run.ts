// @ts-expect-error: plain JavaScript, for the Node version from before the set-up
import { platformBuild } from '../scripts/lib/platform-build.mjs'
import { startPlatform } from '../e2e/harness/platform.ts'
import { TestUser } from '../e2e/harness/user.ts'
import { benchDeploy } from './deploy.ts'
import { benchEventLoop } from './event-loop.ts'
import { benchFairness } from './fairness.ts'
import { benchFootprint } from './footprint.ts'
import { benchIsolation } from './isolation.ts'
import { benchMemory } from './memory.ts'
import { benchNeighbours } from './neighbours.ts'
import { benchSaturation } from './saturation.ts'
import { benchThroughput } from './throughput.ts'
import { benchValidation } from './validation.ts'
import { benchWake } from './wake.ts'

const benches = {
  wake: benchWake,
  deploy: benchDeploy,
  validation: benchValidation,
  throughput: benchThroughput,
  isolation: benchIsolation,
  saturation: benchSaturation,
  fairness: benchFairness,
  neighbours: benchNeighbours,
  memory: benchMemory,
  'event-loop': benchEventLoop,
}

const wanted = process.argv.slice(2)
const wants = (name: string): boolean => wanted.length === 0 || wanted.includes(name)
// Measures the build that `npm start` runs.
await (platformBuild as () => (() => Promise<void>) | undefined)()?.()
// Runs alone, as other processes of the same programs would share its memory.
if (wants('memory')) await benchFootprint()
await using platform = await startPlatform()
const user = await TestUser.signUp(platform, 'bench')
for (const [name, bench] of Object.entries(benches)) {
  if (wants(name)) await bench(platform, user)
}
