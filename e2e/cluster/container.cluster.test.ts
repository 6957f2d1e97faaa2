import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, inject, test } from 'vitest'
import { ROOT, freePort } from '../harness/platform.ts'
import { TestUser, type Front } from '../harness/user.ts'

const run = promisify(execFile)
const docker = async (...args: string[]): Promise<string> => {
  const { stdout, stderr } = await run('docker', args, { maxBuffer: 16 * 1024 * 1024 })
  // A container prints to both streams.
  return args[0] === 'logs' ? stdout + stderr : stdout.trim()
}

/** The command of docs/self-hosting.md. */
const SANDBOX = [
  ...['--security-opt', `seccomp=${join(ROOT, 'deploy/docker/seccomp.json')}`],
  ...['--security-opt', 'systempaths=unconfined'],
]
const HARDENING = [
  '--cap-drop',
  'ALL',
  '--security-opt',
  'no-new-privileges',
  '--read-only',
  '--tmpfs',
  '/tmp',
]
const PATIENCE = { timeout: 90_000, interval: 250 }

const left: string[] = []
afterAll(async () => {
  for (const name of left) await docker('rm', '-fv', name).catch(() => undefined)
  await docker('volume', 'rm', 'fp-e2e-data').catch(() => undefined)
})

/** The platform's image alone: MongoDB, runner and console are in it. */
async function start(name: string, flags: readonly string[]): Promise<Front> {
  const port = await freePort()
  left.push(name)
  // A retried test finds the container of the first attempt.
  await docker('rm', '-fv', name).catch(() => undefined)
  await docker(
    ...['run', '-d', '--name', name, '-p', `127.0.0.1:${port}:8080`, '-v', 'fp-e2e-data:/data', ...flags],
    ...['-e', `PUBLIC_URL=http://localhost:${port}`, '-e', `APP_DOMAIN=localhost:${port}`],
    inject('cluster').platformImage,
  )
  const front = {
    url: `http://localhost:${port}`,
    address: '127.0.0.1',
    port,
    appDomain: `localhost:${port}`,
  }
  await untilReady(front)
  return front
}

async function untilReady(front: Front): Promise<void> {
  const ready = (): Promise<boolean> =>
    fetch(`${front.url}/readyz`).then(
      (response) => response.ok,
      () => false,
    )
  await expect.poll(ready, PATIENCE).toBe(true)
}

const CODE = `import os

from fastapi import FastAPI
from pymongo import MongoClient

app = FastAPI()
notes = MongoClient(os.environ["PLATFORM_MONGO_URI"]).get_default_database().notes


@app.post("/notes")
def add() -> int:
    notes.insert_one({"kept": True})
    return notes.count_documents({})


@app.get("/isolation")
def isolation() -> dict[str, object]:
    return {"pids": [name for name in os.listdir("/proc") if name.isdigit()], "root": sorted(os.listdir("/"))}
`

test('the image alone runs fp in embedded mode with the sandbox, and keeps its data', async () => {
  const front = await start('fp-e2e-embedded', [...SANDBOX, ...HARDENING])
  const user = await TestUser.signUp(front, 'homer')
  const { app_id: appId } = await user.liveApp({ code: CODE })
  expect((await user.call(appId, '/notes', { method: 'POST' })).json()).toBe(1)
  const isolation = (await user.call(appId, '/isolation')).json() as { pids: string[]; root: string[] }
  // The app sees its own processes and root, and nothing of the platform.
  expect(isolation.pids.length).toBeLessThan(4)
  expect(isolation.root).not.toContain('data')
  await docker('stop', 'fp-e2e-embedded')
  await docker('start', 'fp-e2e-embedded')
  await untilReady(front)
  expect((await user.call(appId, '/notes', { method: 'POST' })).json()).toBe(2)
})

test('without its flags it names the flags it needs, and runs no app', async () => {
  const front = await start('fp-e2e-bare', [...HARDENING, '-e', 'FP_DATA_DIR=/tmp/data'])
  const log = await docker('logs', 'fp-e2e-bare')
  expect(log).toContain('--security-opt seccomp=')
  const user = await TestUser.signUp(front, 'homer')
  const { app_id: appId } = await user.createApp({ code: CODE })
  const deployment = await user.deploy(appId)
  expect(deployment).toMatchObject({ stage: 'failed' })
  expect(deployment.failure!.message).toMatch(/sandbox/)
})
