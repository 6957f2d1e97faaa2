import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import autocannon from 'autocannon'
import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { ms, percentile, ratio, row, section, timedGet, TRIVIAL_APP } from './lib.ts'

const SECONDS = 8
const CONNECTIONS = 16
/** ms between two requests of a lone visitor. */
const INTERVAL = 5

interface Target {
  readonly port: number
  readonly host: string
}

/**
 * Whether slow work delays requests to apps: a warm app's p99 while the largest drafts are validated one after the other
 * and 20 logins a second are hashed. Once under steady load, and once for a lone visitor, whose quiet value is mostly
 * what the kernel takes to switch processes.
 */
export async function benchIsolation(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section('A warm app while the largest drafts are validated and 20 logins a second hashed')
  const app = await user.liveApp({ code: TRIVIAL_APP }, 'bench isolation')
  const target = { port: platform.port, host: `app-${app.app_id}.localhost:${platform.port}` }
  await timedGet(target)
  await disturb(platform, user, 1)

  row('', 'quiet p99', 'busy p99', 'busy/quiet')
  for (const [name, measure] of [
    [`${CONNECTIONS} connections (goal: 2 or less)`, steady],
    ['a lone visitor', lone],
  ] as const) {
    await measure(target, 1)
    const quiet = await measure(target, SECONDS)
    const [busy, work] = await Promise.all([measure(target, SECONDS), disturb(platform, user, SECONDS)])
    row(name, ms(quiet), ms(busy), ratio(busy / quiet))
    row(`  with ${work.validations} validations and ${work.logins} logins`)
  }
}

async function steady({ port, host }: Target, seconds: number): Promise<number> {
  const result = await autocannon({
    url: `http://127.0.0.1:${port}/`,
    connections: CONNECTIONS,
    duration: seconds,
    headers: { host },
  })
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} non-2xx, ${result.errors} errors`)
  return result.latency.p99
}

async function lone(target: Target, seconds: number): Promise<number> {
  const took: number[] = []
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await wait(INTERVAL))
    took.push(await timedGet(target))
  return percentile(took, 99)
}

/** In a process of its own, so that only the platform shares its work. */
async function disturb(
  platform: PlatformUnderTest,
  user: TestUser,
  seconds: number,
): Promise<{ validations: number; logins: number }> {
  const script = join(import.meta.dirname, 'isolation-load.ts')
  const args = ['--conditions=@fp/source', script, platform.url, user.token, user.username, String(seconds)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as { validations: number; logins: number }
}
