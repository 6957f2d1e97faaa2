import type { AppDetail, Page } from '@fp/sdk/wire'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startPlatform } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

let dataDir: string
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fp-life-'))
})
afterEach(async () => {
  await rm(dataDir, { recursive: true, force: true })
})

const COUNTER = `import os
from fastapi import FastAPI
from pymongo import MongoClient

app = FastAPI()
visits = MongoClient(os.environ["PLATFORM_MONGO_URI"]).get_default_database().visits


@app.post("/")
def visit() -> int:
    visits.insert_one({})
    return visits.count_documents({})
`
const SLOW = `import asyncio
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def slow() -> str:
    await asyncio.sleep(1)
    return "answered"
`

/** Processes whose command line or environment contains the data folder, and their children. */
function processesOf(dir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      const told = readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8')
      return told.includes(dir)
    } catch {
      return false
    }
  })
}

function children(pid: number): number[] {
  const found = readdirSync('/proc').filter((name) => {
    try {
      return (
        /^\d+$/.test(name) &&
        Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]) === pid
      )
    } catch {
      return false
    }
  })
  return found.map(Number).flatMap((child) => [child, ...children(child)])
}

/** Undefined for a process that has ended. */
function processName(pid: number): string | undefined {
  return /^Name:\s+(\S+)\nUmask:.*\nState:\s+[^Z]/.exec(readFileOrEmpty(`/proc/${pid}/status`))?.[1]
}

function readFileOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function alive(pid: number): boolean {
  return processName(pid) !== undefined
}

describe('stopping', () => {
  test('first answers the running request, ends every process within 5 s, and keeps all data', async () => {
    const first = await startPlatform({ dataDir })
    const user = await TestUser.signUp(first, 'keeper')
    const counter = await user.liveApp({ code: COUNTER }, 'counter')
    const slow = await user.liveApp({ code: SLOW }, 'slow')
    expect((await user.call(counter.app_id, '/', { method: 'POST' })).text).toBe('1')
    await user.call(slow.app_id, '/')

    const started = children(first.child.pid!)
    expect(started.length).toBeGreaterThan(2)
    const held = user.call(slow.app_id, '/')
    await expect.poll(() => user.client.apps.get(slow.app_id).then((app) => app.status)).toBe('running')
    // After 5 s the platform gives up on an orderly end and exits with 1.
    expect(await first.stop('SIGINT')).toBe(0)
    expect([(await held).status, (await held).text]).toEqual([200, '"answered"'])
    await expect.poll(() => started.filter(alive)).toEqual([])
    expect(processesOf(dataDir)).toEqual([])

    await using second = await startPlatform({ dataDir, port: first.port })
    const me = await fetch(`${second.url}/api/apps`, { headers: { authorization: `Bearer ${user.token}` } })
    const apps = (await me.json()) as Page<AppDetail>
    expect(apps.items.map((app) => [app.name, app.status]).sort()).toEqual([
      ['counter', 'sleeping'],
      ['slow', 'sleeping'],
    ])
    expect((await user.call(counter.app_id, '/', { method: 'POST' })).text).toBe('2')
  })

  test('completes an accepted deployment', async () => {
    const first = await startPlatform({ dataDir, env: { FP_SHUTDOWN_GRACE_S: '60' } })
    const user = await TestUser.signUp(first, 'patient')
    const app = await user.createApp({ code: `import time\n\ntime.sleep(1)\n${COUNTER}` })
    await user.client.apps.deploy(app.app_id)
    expect(await first.stop('SIGTERM')).toBe(0)

    await using second = await startPlatform({ dataDir, port: first.port })
    expect(second.port).toBe(first.port)
    const { items } = await user.client.deployments.list(app.app_id)
    expect(items.map(({ stage, failure }) => [stage, failure])).toEqual([['ready', null]])
    expect((await user.call(app.app_id, '/', { method: 'POST' })).text).toBe('1')
  })

  test('by kill -9 leaves nothing that the next start cannot repair', async () => {
    const first = await startPlatform({ dataDir })
    const user = await TestUser.signUp(first, 'survivor')
    const counter = await user.liveApp({ code: COUNTER })
    await user.call(counter.app_id, '/', { method: 'POST' })
    const started = children(first.child.pid!)
    // A deploy is running too.
    await user.api('POST', `/apps/${counter.app_id}/deploy`, { files: { 'app.py': COUNTER } })
    await first.stop('SIGKILL')

    await using second = await startPlatform({ dataDir, port: first.port })
    expect(second.port).toBe(first.port)
    await expect.poll(() => started.filter(alive), { timeout: 10_000 }).toEqual([])
    expect((await user.call(counter.app_id, '/', { method: 'POST' })).text).toBe('2')
    const app = await user.client.apps.get(counter.app_id)
    expect(app.status).toBe('running')
    const deployments = await user.client.deployments.list(counter.app_id)
    expect(deployments.items.every(({ stage }) => stage === 'ready' || stage === 'failed')).toBe(true)
  })
})

test('a second platform on the same data is refused with a reason', async () => {
  await using first = await startPlatform({ dataDir })
  await expect(startPlatform({ dataDir })).rejects.toThrow(/data folder|already|another/i)
  expect((await fetch(`${first.url}/healthz`)).status).toBe(200)
})

test('a MongoDB that is killed under a running app restarts with all acknowledged writes', async () => {
  await using platform = await startPlatform({ dataDir })
  const user = await TestUser.signUp(platform, 'keeper')
  const { app_id: appId } = await user.liveApp({ code: COUNTER }, 'counter')
  expect((await user.call(appId, '/', { method: 'POST' })).text).toBe('1')
  const mongod = (): number | undefined =>
    children(platform.child.pid!).find((pid) => processName(pid) === 'mongod')
  const first = mongod()!
  process.kill(first, 'SIGKILL')
  // The app's queries wait for MongoDB meanwhile, or fail. The app's process stays, and needs no deploy.
  await expect
    .poll(async () => (await user.call(appId, '/', { method: 'POST' })).status, {
      timeout: 60_000,
      interval: 100,
    })
    .toBe(200)
  expect(Number((await user.call(appId, '/', { method: 'POST' })).text)).toBeGreaterThanOrEqual(3)
  expect(mongod()).not.toBe(first)
  await expect.poll(() => fetch(`${platform.url}/readyz`).then(({ status }) => status)).toBe(200)
  expect((await user.createApp({ code: SLOW })).app_id).toBeTruthy()
})

test('a wrong setting is named together with allowed values', async () => {
  await expect(startPlatform({ dataDir, env: { FP_IDLE_TIMEOUT_S: 'soon' } })).rejects.toThrow(
    /FP_IDLE_TIMEOUT_S/,
  )
})

test('secrets are in no log', async () => {
  await using platform = await startPlatform({ dataDir, env: { FP_LOG_LEVEL: 'debug' } })
  const user = await TestUser.signUp(platform, 'discreet')
  const app = await user.createApp({
    code: SLOW,
    env_vars: { API_KEY: { value: 'sk-very-secret-value', secret: true } },
  })
  await user.deploy(app.app_id)
  await user.call(app.app_id, '/')
  const shown = JSON.stringify(await user.client.apps.get(app.app_id))
  for (const text of [platform.output(), shown]) {
    expect(text).not.toContain('sk-very-secret-value')
    expect(text).not.toContain(user.token)
    expect(text).not.toContain('correct horse battery')
  }
})
