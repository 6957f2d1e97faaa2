import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { HELLO, TestUser } from './harness/user.ts'

let platform: PlatformUnderTest
let user: TestUser
let app: string

beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'ada')
  app = (await user.liveApp({ code: HELLO })).app_id
})
afterAll(async () => platform[Symbol.asyncDispose]())

/** The API's process: the gate's child with its role in the environment. */
function apiPid(): number {
  const gate = platform.child.pid!
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === gate)
  const found = children.filter((pid) => read(pid, 'environ').split('\0').includes('FP_ROLE=api'))
  expect(found).toHaveLength(1)
  return Number(found[0])
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function parentOf(pid: string): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(read(pid, 'status'))?.[1])
}

test('an API that is killed is restarted, and no request to an app or to the API is lost', async () => {
  const killed = apiPid()
  const stop = new AbortController()
  const statuses = new Set<number>()
  const visits = (async () => {
    while (!stop.signal.aborted) statuses.add((await user.call(app, '/')).status)
  })()
  process.kill(killed, 'SIGKILL')
  // This request waits for the next process.
  expect((await user.client.apps.list()).items.map(({ app_id }) => app_id)).toEqual([app])
  expect(apiPid()).not.toBe(killed)
  stop.abort()
  await visits
  expect([...statuses]).toEqual([200])
  expect(platform.output()).toMatch(/the API ended; starting it again.*\n(?:.*\n)*.*the API is up again/)
})

test('a deployment of a killed API fails with a reason, and the next one works', async () => {
  const slow = HELLO.replace('app =', 'import time\n\ntime.sleep(3)\napp =')
  const { deployment_id } = await user.client.apps.deploy(app, { files: { 'app.py': slow } })
  process.kill(apiPid(), 'SIGKILL')
  const ended = await user.finished(app, deployment_id)
  expect(ended).toMatchObject({ stage: 'failed', failure: { code: 'FP_UNAVAILABLE' } })
  expect((await user.deploy(app, { 'app.py': HELLO })).stage).toBe('ready')
})

test('apps answer and wake while the API hangs', async () => {
  await user.client.apps.sleep(app)
  const api = apiPid()
  process.kill(api, 'SIGSTOP')
  try {
    for (let n = 0; n < 20; n++) expect((await user.call(app, '/')).status).toBe(200)
  } finally {
    process.kill(api, 'SIGCONT')
  }
  expect((await user.client.apps.get(app)).status).toBe('running')
})

test('the API ends when its gate is killed', async () => {
  const api = apiPid()
  await platform.stop('SIGKILL')
  await expect.poll(() => read(String(api), 'cmdline')).toBe('')
})
