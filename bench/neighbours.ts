import { setTimeout as wait } from 'node:timers/promises'
import { FLOODS_LOG, FLOODS_MONGOD, SPINS } from '../e2e/hostile/apps.ts'
import { neighbourOf } from '../e2e/hostile/neighbour.ts'
import { startPlatform } from '../e2e/harness/platform.ts'
import { TestUser } from '../e2e/harness/user.ts'
import { ms, ratio, row, section } from './lib.ts'

const SECONDS = 5

/** Apps of one tenant that use as much as they can of the processor, the log and the database. */
const ATTACKS: readonly [name: string, apps: readonly string[]][] = [
  ['90 spinning processes (goal: p50 1.5 or less)', [SPINS(45), SPINS(45)]],
  ['a log flood', [FLOODS_LOG]],
  ['a flood of queries', [FLOODS_MONGOD]],
]

/** The latency of one tenant's visitor while another tenant's apps do that, compared with a quiet machine. */
export async function benchNeighbours(): Promise<void> {
  section('A warm app while another user’s apps take all they can get')
  // A platform of its own: the attacks need modules that the validator refuses by default.
  await using platform = await startPlatform({ env: { FP_ALLOWED_IMPORTS: 'ctypes,gc,socket' } })
  const [ada, mallory] = [await TestUser.signUp(platform, 'ada'), await TestUser.signUp(platform, 'mallory')]
  const neighbour = await neighbourOf(platform, ada)
  await neighbour.measure()
  row('', 'p50', 'p50/quiet', 'p99', 'p99/quiet', 'errors')
  for (const [name, codes] of ATTACKS) {
    const quiet = await neighbour.measure()
    const apps = await Promise.all(codes.map((code) => mallory.liveApp({ code })))
    await Promise.all(apps.map((app) => mallory.call(app.app_id, '/')))
    const busy = await neighbour.measure(wait(SECONDS))
    await Promise.all(apps.map((app) => mallory.client.apps.remove(app.app_id)))
    row(
      name,
      ms(busy.p50),
      ratio(busy.p50 / quiet.p50),
      ms(busy.p99),
      ratio(busy.p99 / quiet.p99),
      `${busy.errors.length}`,
    )
  }
}
