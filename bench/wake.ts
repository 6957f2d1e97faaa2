import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort, ROOT, type PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { ms, percentile, ratio, row, section, timedGet, TRIVIAL_APP } from './lib.ts'

const WAKES = 50
const SPAWNS = 15
/** The least time in ms that an app sleeps before it is woken. Its old process has ended by then, as after any real sleep. */
const SLEEP = 250

/** The cost of a wake, compared with the usual way: start a server and poll its port. */
export async function benchWake(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section('Wake of a trivial FastAPI app, through the front door')
  const app = await user.liveApp({ code: TRIVIAL_APP }, 'bench wake')
  const target = { port: platform.port, host: `app-${app.app_id}.localhost:${platform.port}` }

  const warm: number[] = []
  for (let i = 0; i < 200; i++) warm.push(await timedGet(target))
  const wakes: number[] = []
  for (let i = 0; i < WAKES; i++) {
    await user.sleep(app.app_id)
    await wait(SLEEP)
    wakes.push(await timedGet(target))
  }
  const spawns: number[] = []
  for (let i = 0; i < SPAWNS; i++) spawns.push(await spawnAndPoll())

  const p50 = percentile(wakes, 50)
  row('', 'p50', 'p95')
  row(`wake to the first 200 (${WAKES})`, ms(p50), ms(percentile(wakes, 95)))
  row('warm request', ms(percentile(warm, 50)), ms(percentile(warm, 95)))
  row(
    `spawn uvicorn app:app, poll every 2 ms (${SPAWNS})`,
    ms(percentile(spawns, 50)),
    ms(percentile(spawns, 95)),
  )
  row('a spawn takes, in wakes (goal: 10 or more)', ratio(percentile(spawns, 50) / p50))
  row('a wake takes, in warm requests', ratio(p50 / percentile(warm, 50)))
}

async function spawnAndPoll(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'fp-bench-'))
  await writeFile(join(folder, 'app.py'), TRIVIAL_APP)
  const port = await freePort()
  const began = performance.now()
  const child = spawn(
    join(ROOT, '.fp/venv/bin/python'),
    ['-m', 'uvicorn', 'app:app', '--port', String(port), '--log-level', 'error'],
    { cwd: folder, stdio: 'ignore' },
  )
  const exited = once(child, 'exit')
  let took: number | undefined
  while (took === undefined) {
    took = await timedGet({ port }).then(
      () => performance.now() - began,
      () => undefined,
    )
    if (took === undefined) await wait(2)
  }
  child.kill('SIGKILL')
  await exited
  await rm(folder, { recursive: true })
  return took
}
