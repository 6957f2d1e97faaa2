import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { FILE_LIMITS } from '@fp/sdk/wire'
import { setTimeout as wait } from 'node:timers/promises'
import { ms, percentile, ratio, row, section, timedGet, TRIVIAL_APP } from './lib.ts'

const LOGINS = 20
/** Requests a second of the warm app: a steady trickle, so that what is seen is delay and not saturation. */
const INTERVAL = 10

/** Whether slow work reaches the front door: a warm app's p99 while drafts are validated and passwords hashed. */
export async function benchIsolation(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section('A warm app while the largest drafts are validated and 20 logins are hashed')
  const app = await user.liveApp({ code: TRIVIAL_APP }, 'bench isolation')
  const target = { port: platform.port, host: `app-${app.app_id}.localhost:${platform.port}` }
  const files = largestDraft()
  await user.must('POST', '/validate', { files })

  const quiet = await trickle(target, wait(5_000))
  const work = Promise.all([
    ...Array.from({ length: LOGINS }, () => login(platform, user.username)),
    (async () => {
      for (let n = 0; n < 5; n++) await user.must('POST', '/validate', { files })
    })(),
  ])
  const busy = await trickle(target, work)
  row('', 'p50', 'p99', 'requests')
  row('quiet', ms(percentile(quiet, 50)), ms(percentile(quiet, 99)), String(quiet.length))
  row('busy', ms(percentile(busy, 50)), ms(percentile(busy, 99)), String(busy.length))
  row('busy p99, of quiet (goal: 2 or less)', ratio(percentile(busy, 99) / percentile(quiet, 99)))
}

async function trickle(target: { port: number; host: string }, until: Promise<unknown>): Promise<number[]> {
  const took: number[] = []
  let done = false
  const end = until.finally(() => (done = true))
  while (!done) {
    took.push(await timedGet(target))
    await wait(INTERVAL)
  }
  await end
  return took
}

async function login(platform: PlatformUnderTest, username: string): Promise<void> {
  await fetch(`${platform.url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password: 'correct horse battery' }),
  }).then((response) => response.arrayBuffer())
}

/** As many and as large files as are allowed. */
function largestDraft(): Record<string, string> {
  const each = Math.floor(FILE_LIMITS.maxTotalBytes / FILE_LIMITS.maxFiles) - 200
  const line = (n: number): string => `def function_${n}(value: int) -> int:\n    return value + ${n}\n\n\n`
  let body = ''
  for (let n = 0; body.length < each; n++) body += line(n)
  const files: Record<string, string> = { 'app.py': TRIVIAL_APP }
  for (let n = 1; n < FILE_LIMITS.maxFiles; n++) files[`module_${n}.py`] = body.slice(0, each)
  return files
}
