import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from '../harness/platform.ts'
import { repeatedly } from '../harness/repeatedly.ts'
import { TestUser } from '../harness/user.ts'
import * as apps from './apps.ts'
import { listenToAll } from './listeners.ts'
import { neighbourOf, type Neighbour, type Seen } from './neighbour.ts'

/**
 * One tenant attacks shared resources while another one measures the effect: attack → result → the neighbour's p50 as a
 * multiple of its quiet value. The limits are high, as a test machine may be busy with other work; `npm run bench` prints the
 * values of a quiet one.
 */
const P50_BOUND = 8
const IMPORTS = 'ctypes,gc,socket'

let platform: PlatformUnderTest
let mallory: TestUser
let ada: TestUser
let neighbour: Neighbour
let quiet: Seen
const rows: string[] = []

beforeAll(async () => {
  platform = await startPlatform({ env: { FP_ALLOWED_IMPORTS: IMPORTS } })
  ada = await TestUser.signUp(platform, 'ada')
  mallory = await TestUser.signUp(platform, 'mallory')
  neighbour = await neighbourOf(platform, ada)
  await neighbour.measure()
})
// Measured before each attack, as other load of the machine changes.
beforeEach(async () => {
  quiet = await neighbour.measure()
  expect(quiet.errors).toEqual([])
})
afterAll(async () => {
  console.log(['attack → result → neighbour (p50, p99 against quiet)', ...rows].join('\n  '))
  await platform[Symbol.asyncDispose]()
})

/** Measures the neighbour while the attack goes on. */
async function under(attack: string, during: Promise<string>, bound = P50_BOUND): Promise<string> {
  const [seen, result] = await Promise.all([neighbour.measure(during), during])
  const times = (value: number, of: number): string => `${(value / of).toFixed(1)}x`
  rows.push(
    `${attack} → ${result} → ${times(seen.p50, quiet.p50)}, ${times(seen.p99, quiet.p99)}, ${seen.errors.length} errors`,
  )
  expect(seen.errors, attack).toEqual([])
  expect(seen.p50 / quiet.p50, attack).toBeLessThan(bound)
  return result
}

async function attackingApp(code: string, env: Record<string, string> = {}): Promise<string> {
  const app = await mallory.liveApp({ code, env_vars: env })
  return app.app_id
}

async function ended(appId: string): Promise<void> {
  await mallory.client.apps.remove(appId)
}

/** The attack is an app's route that answers at once and goes on in the background. */
async function attackFor(seconds: number, appId: string): Promise<string> {
  const answer = await mallory.call(appId, '/')
  await lasting(seconds)
  return `${answer.status} ${answer.text.slice(0, 80)}`
}

describe('a tenant’s app', () => {
  test('finds no secret of another tenant in its memory', async () => {
    const canary = (kind: string): string => `canary-${kind}-${randomBytes(8).toString('hex')}`
    const theirs = await ada.liveApp({
      files: {
        'app.py': `# ${canary('code')}\nfrom fastapi import FastAPI, Request\n\napp = FastAPI()\n\n\n@app.post("/")\nasync def read(request: Request) -> int:\n    return len(await request.body())\n`,
        [`${canary('file').replaceAll('-', '_')}.py`]: 'x = 1\n',
      },
      env_vars: { SECRET: { value: canary('secret'), secret: true } },
    })
    await ada.call(theirs.app_id, '/', { method: 'POST', body: canary('body') })
    const failing = await ada.createApp({
      code: `from fastapi import FastAPI\n\napp = FastAPI()\nraise ValueError("${canary('failure')}")\n`,
    })
    await ada.deploy(failing.app_id)

    const own = canary('own')
    const id = await attackingApp(apps.SEARCHES_MEMORY, { OWN: own })
    for (const _ of [1, 2, 3]) {
      expect((await mallory.call(id, '/')).json()).toEqual([own])
      await mallory.sleep(id)
    }
    rows.push('search of all memory, three starts → only its own canary')
    await ended(id)
  })

  test('reaches neither the platform, this machine, private networks nor other apps', async () => {
    await using listeners = await listenToAll()
    const id = await attackingApp(apps.REACHES_OUT(listeners))
    const results = (await mallory.call(id, '/')).json() as Record<string, string>
    for (const [place, result] of Object.entries(results)) expect(result, place).toMatch(/^refused: /)
    rows.push(`connections to ${Object.keys(results).length} forbidden places → all refused`)
    await ended(id)
  })

  test('that floods its control channel while it starts fails alone', async () => {
    const app = await mallory.createApp({ code: apps.FLOODS_CONTROL_CHANNEL })
    const deployed = mallory.deploy(app.app_id)
    const result = deployed.then(({ failure }) => failure?.message ?? 'it started')
    expect(await under('phases for 3 s', result)).toMatch(/control channel/)
    await ended(app.app_id)
  })

  test('that sends deep nesting over its control channel fails alone', async () => {
    const app = await mallory.createApp({ code: apps.NESTS_DEEPLY })
    const result = mallory.deploy(app.app_id).then(({ failure }) => failure?.message ?? 'it started')
    expect(await under('nested JSON', result)).toMatch(/control channel/)
    await ended(app.app_id)
  })

  test('that sends file descriptors without limit fills no other process’s table', async () => {
    const before = await resources()
    const id = await attackingApp(apps.SENDS_DESCRIPTORS)
    await under('descriptors without end', attackFor(3, id))
    const after = await resources()
    expect(after.runner!.used - before.runner!.used).toBeLessThan(50)
    await ended(id)
  })

  test('that runs busy loops in 90 processes slows its neighbour only a little', async () => {
    const ids = await Promise.all([attackingApp(apps.SPINS(45)), attackingApp(apps.SPINS(45))])
    await under('90 spinning processes', Promise.all(ids.map((id) => attackFor(4, id))).then(String))
    await Promise.all(ids.map(ended))
  })

  test.each([
    ['a log flood', apps.FLOODS_LOG],
    ['a flood of queries', apps.FLOODS_MONGOD],
    ['connections to MongoDB without end', apps.HOLDS_CONNECTIONS],
  ])('%s slows its neighbour little, and the database serves on', async (name, code) => {
    const id = await attackingApp(code)
    await under(name, attackFor(4, id))
    // The platform needs MongoDB too, e.g. to log in users and list apps.
    expect((await ada.api('GET', '/apps')).status).toBe(200)
    await ended(id)
  })
})

describe('a tenant or stranger with HTTP alone', () => {
  test('cannot slow apps by saturating the API', async () => {
    const statuses = new Map<number, number>()
    const count = (status: number): void => void statuses.set(status, (statuses.get(status) ?? 0) + 1)
    const flood = forSeconds(4, 20, async () => count((await mallory.api('GET', '/apps')).status))
    await under(
      'API saturated by one address',
      flood.then(() => JSON.stringify(Object.fromEntries(statuses))),
    )
    expect([...statuses.keys()].every((status) => [200, 429, 503].includes(status))).toBe(true)
  })

  test('cannot block the platform with 130,000 variables', async () => {
    const app = await mallory.createApp({ code: apps.FLOODS_LOG })
    const env_vars = Object.fromEntries(Array.from({ length: 130_000 }, (_, n) => [`V${n}`, 'x']))
    const result = mallory
      .api<{ code: string }>('PATCH', `/apps/${app.app_id}`, { env_vars })
      .then(({ status, body }) => `${status} ${body.code}`)
    expect(await under('130,000 variables', result)).toMatch(/^4(13|22) FP_/)
  })

  test('cannot starve another user’s deployment with a flood of validations', async () => {
    const big = Array.from({ length: 4_000 }, (_, n) => `def f${n}(x):\n    return x + ${n}\n`).join('\n')
    let refused = 0
    const flood = forSeconds(6, 8, async () => {
      const { status } = await mallory.api('POST', '/validate', { files: { 'app.py': big } })
      if (status === 503 || status === 429) refused++
    })
    const deployed = ada.liveApp({ code: 'from fastapi import FastAPI\n\napp = FastAPI()\n' })
    const result = Promise.all([deployed, flood]).then(() => `deployed; ${refused} of the flood refused`)
    await under('validation flood', result)
  })

  test('cannot lock others out by holding connections open', async () => {
    const held: Socket[] = []
    for (let n = 0; n < 600; n++) {
      const socket = connect(platform.port, '127.0.4.' + (1 + (n % 70)))
      socket.on('error', () => undefined)
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
      held.push(socket)
    }
    await under('600 half requests from 127.0.4.1–70', Promise.resolve('held'))
    for (const socket of held) socket.destroy()
  })
})

test('killing the runner’s processes under traffic does not stop the platform', async () => {
  const { runner } = await resources()
  expect(runner!.used).toBeGreaterThan(0)
  const pids = childrenOf(platform.child.pid!).filter((pid) => commandOf(pid).includes('fp_runner.manager'))
  const zygotes = pids.flatMap(childrenOf).filter((pid) => commandOf(pid).includes('fp_runner.zygote'))
  expect(zygotes).toHaveLength(1)
  const stop = new AbortController()
  const traffic = (async () => {
    while (!stop.signal.aborted) await ada.call(neighbour.appId, '/').catch(() => undefined)
  })()
  process.kill(zygotes[0]!, 'SIGKILL')
  await expect.poll(async () => (await ada.call(neighbour.appId, '/')).text).toBe('"well"')
  stop.abort()
  await traffic
  expect(platform.child.exitCode).toBeNull()
  expect((await ada.client.apps.get(neighbour.appId)).app_id).toBe(neighbour.appId)
})

/** Waits for the duration of an attack, which only the clock determines. */
const lasting = (seconds: number): Promise<void> =>
  // eslint-disable-next-line no-restricted-syntax -- no event ends it
  new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Repeats some work with so many calls at once. */
async function forSeconds(seconds: number, atOnce: number, work: () => Promise<unknown>): Promise<void> {
  const flood = repeatedly(work, atOnce)
  await lasting(seconds)
  await flood.stop()
}

async function resources(): Promise<Record<string, { used: number; limit: number }>> {
  const body = (await (await fetch(`${platform.url}/readyz`)).json()) as {
    descriptors: Record<string, { used: number; limit: number }>
  }
  return body.descriptors
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
}
