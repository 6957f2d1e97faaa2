import { startPlatform } from '../e2e/harness/platform.ts'
import { TestUser } from '../e2e/harness/user.ts'
import { benchDeploy } from './deploy.ts'
import { benchEventLoop } from './event-loop.ts'
import { benchFairness } from './fairness.ts'
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
await using platform = await startPlatform({ built: true })
const user = await TestUser.signUp(platform, 'bench')
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length === 0 || wanted.includes(name)) await bench(platform, user)
}
