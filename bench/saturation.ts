import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'
import { startPlatform } from '../e2e/harness/platform.ts'
import { TestUser } from '../e2e/harness/user.ts'
import { ms, ratio, row, section, timedGet, TRIVIAL_APP } from './lib.ts'

const SECONDS = 6
const CONNECTIONS = 16

/** The requests that one address, which is not the visitor's, sends as fast as it can. */
const FLOODS = ['stranger', 'tenant', 'connections', 'largest drafts'] as const

/** The p50 and p99 of a warm app while one address sends the API as many requests as it can. */
export async function benchSaturation(): Promise<void> {
  section('Isolation: API saturated by one address; a warm app of another user')
  // Peers of this machine count as proxies, so that the flood has an address of its own.
  await using platform = await startPlatform({ env: { FP_TRUST_PROXY: '127.0.0.1' } })
  const user = await TestUser.signUp(platform, 'neighbour')
  const tenant = await TestUser.signUp(platform, 'flood')
  await tenant.createApp({ code: TRIVIAL_APP })
  const app = await user.liveApp({ code: TRIVIAL_APP }, 'bench saturation')
  const target = { port: platform.port, host: `app-${app.app_id}.localhost:${platform.port}` }
  await timedGet(target)
  await measure(target, 1)
  row('', 'p50', 'p99', 'of quiet p50', 'flood answers/s')
  const quiet = await measure(target, SECONDS)
  row('quiet', ms(quiet.p50), ms(quiet.p99))
  for (const flood of FLOODS) {
    const [busy, perSecond] = await Promise.all([
      measure(target, SECONDS),
      run(flood, platform.url, tenant.token),
    ])
    row(flood, ms(busy.p50), ms(busy.p99), ratio(busy.p50 / quiet.p50), perSecond)
  }
}

async function measure(
  target: { port: number; host: string },
  seconds: number,
): Promise<{ p50: number; p99: number }> {
  const { latency, non2xx, errors } = await autocannon({
    url: `http://127.0.0.1:${target.port}/`,
    connections: CONNECTIONS,
    duration: seconds,
    headers: { host: target.host },
  })
  if (non2xx > 0 || errors > 0) throw new Error(`${non2xx} non-2xx, ${errors} errors`)
  return latency
}

/** In a process of its own, so that it does not slow the measurement. */
async function run(flood: string, url: string, token: string): Promise<string> {
  const script = join(import.meta.dirname, 'saturation-load.ts')
  const args = ['--conditions=@fp/source', script, flood, url, token, String(SECONDS)]
  return (await promisify(execFile)(process.execPath, args)).stdout.trim()
}
