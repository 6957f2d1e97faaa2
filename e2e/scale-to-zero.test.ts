import type { AppDetail } from '@fp/sdk/wire'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { repeatedly } from './harness/repeatedly.ts'
import { HELLO, TestUser } from './harness/user.ts'

let platform: PlatformUnderTest
let user: TestUser
beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'sleeper')
})
afterAll(async () => {
  await platform[Symbol.asyncDispose]()
})

async function status(appId: string): Promise<string> {
  return (await user.client.apps.get(appId)).status
}

describe('sleep and wake', () => {
  test('a sleeping app has no process, keeps its URL and wakes for the first request', async () => {
    const { app_id: id } = await user.liveApp({ code: HELLO })
    expect((await user.call(id, '/')).status).toBe(200)
    await user.sleep(id)
    expect(await status(id)).toBe('sleeping')
    const answer = await user.call(id, '/')
    expect([answer.status, answer.text]).toEqual([200, '"hello"'])
    expect(answer.headers['server-timing']).toMatch(/^wake;dur=[\d.]+, forked;dur=/)
    expect(await status(id)).toBe('running')
    expect((await user.call(id, '/')).headers['server-timing']).toBeUndefined()
  })

  test('a hundred requests to a sleeping app are all answered by one wake', async () => {
    const code = `import os\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef pid() -> str:\n    return os.environ["FP_VERSION"] + "-" + str(id(app))\n`
    const { app_id: id } = await user.liveApp({ code })
    await user.sleep(id)
    const answers = await Promise.all(Array.from({ length: 100 }, () => user.call(id, '/')))
    expect(answers.map((answer) => answer.status)).toEqual(Array(100).fill(200))
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1)
  })

  test('an app sleeps by itself once its idle timeout has passed', async () => {
    const { app_id: id } = await user.liveApp({ code: HELLO })
    await user.client.apps.patch(id, { idle_timeout_s: 5 })
    await user.call(id, '/')
    expect(await status(id)).toBe('running')
    await expect.poll(() => status(id), { timeout: 30_000, interval: 250 }).toBe('sleeping')
    expect((await user.call(id, '/')).status).toBe(200)
  })

  test('an open WebSocket keeps its app awake', async () => {
    const { app_id: id } = await user.liveApp({ template_id: 'websocket-chat' })
    const socket = await openChat(id)
    const slept = await user.api<AppDetail>('POST', `/apps/${id}/sleep`)
    expect(await status(id), JSON.stringify(slept.body)).toBe('running')
    socket.close()
    await once(socket, 'close')
  })

  test('a request that is running when its app falls asleep is answered', async () => {
    const code = `import asyncio\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/slow")\nasync def slow() -> str:\n    await asyncio.sleep(0.5)\n    return "done"\n`
    const { app_id: id } = await user.liveApp({ code })
    await user.call(id, '/slow')
    const slow = user.call(id, '/slow')
    await user.api('POST', `/apps/${id}/sleep`)
    expect((await slow).status).toBe(200)
  })
})

describe('a switch of versions', () => {
  test('loses no request, and the new version answers all later ones', async () => {
    const { app_id: id } = await user.liveApp({ code: version(1) })
    const statuses: number[] = []
    const texts = new Set<string>()
    const load = repeatedly(async () => {
      const answer = await user.call(id, '/')
      statuses.push(answer.status)
      texts.add(answer.text)
    }, 8)
    for (let n = 2; n <= 6; n++) {
      expect((await user.deploy(id, { 'app.py': version(n) })).stage).toBe('ready')
      expect((await user.call(id, '/')).text).toBe(String(n))
    }
    await user.client.apps.rollback(id, 3)
    await expect.poll(async () => (await user.call(id, '/')).text).toBe('3')
    await load.stop()
    expect(statuses.filter((code) => code !== 200)).toEqual([])
    expect(texts).toEqual(new Set(['1', '2', '3', '4', '5', '6']))
  })

  test('to one that cannot start leaves the old one serving, and reports the reason', async () => {
    const { app_id: id } = await user.liveApp({ code: version(1) })
    const failed = await user.deploy(id, { 'app.py': `${version(2)}\nraise KeyError("lost")\n` })
    expect(failed.stage).toBe('failed')
    expect(failed.failure).toMatchObject({ code: 'FP_APP_IMPORT_FAILED', file: 'app.py', line: 10 })
    expect(failed.failure?.message).toContain("KeyError: 'lost'")
    expect(failed.failure?.traceback).toContain('File "app.py", line 10')
    expect((await user.call(id, '/')).text).toBe('1')
    expect(await status(id)).toBe('running')
  })

  test('a changed environment variable takes effect without a deploy', async () => {
    const code = `import os\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef value() -> str:\n    return os.environ.get("GREETING", "none")\n`
    const { app_id: id } = await user.liveApp({ code, env_vars: { GREETING: 'one' } })
    expect((await user.call(id, '/')).text).toBe('"one"')
    await user.client.apps.patch(id, { env_vars: { GREETING: { value: 'two', secret: true } } })
    expect((await user.call(id, '/')).text).toBe('"two"')
    const app = await user.client.apps.get(id)
    expect(app.env_vars).toEqual([{ name: 'GREETING', value: null, secret: true }])
  })
})

describe('the loading page', () => {
  const SLOW = `import time\n\ntime.sleep(1.2)\n${HELLO}`

  test('is shown to people when the wake takes long, with the wake’s events; programs wait', async () => {
    const { app_id: id } = await user.liveApp({ code: SLOW })
    await user.sleep(id)
    const [page, program] = await Promise.all([
      user.call(id, '/', { headers: { accept: 'text/html' } }),
      user.call(id, '/', { headers: { accept: 'application/json' } }),
    ])
    expect(page.status).toBe(503)
    expect(page.headers['x-fp-wake']).toBe('loading-page')
    expect(page.text).toContain('Waking up')
    expect([program.status, program.text]).toEqual([200, '"hello"'])

    await user.sleep(id)
    const events = await user.call(id, '/_fp/wake')
    expect(events.headers['content-type']).toBe('text/event-stream')
    expect(events.text).toMatch(/event: phases\ndata: .*sandboxed/)
    expect(events.text).toMatch(/event: awake\n/)
    expect((await user.call(id, '/', { headers: { accept: 'text/html' } })).text).toBe('"hello"')
  })
})

describe('clients that disconnect', () => {
  test('during a wake and during an upload do the app no harm', async () => {
    const code = `import time\nfrom fastapi import FastAPI, Request\n\ntime.sleep(0.5)\napp = FastAPI()\n\n\n@app.post("/")\nasync def size(request: Request) -> int:\n    return len(await request.body())\n`
    const { app_id: id } = await user.liveApp({ code })
    await user.sleep(id)
    for (const method of ['GET', 'POST']) {
      const upload = httpRequest({
        host: '127.0.0.1',
        port: platform.port,
        method,
        headers: {
          host: `app-${id}.localhost:${platform.port}`,
          ...(method === 'POST' ? { 'content-length': '1000000' } : {}),
        },
      })
      upload.on('error', () => undefined)
      if (method === 'POST') upload.write('x'.repeat(1000))
      else upload.end()
      const [socket] = (await once(upload, 'socket')) as [Socket]
      if (socket.connecting) await once(socket, 'connect')
      upload.destroy()
    }
    const answer = await user.call(id, '/', { method: 'POST', body: 'four' })
    expect([answer.status, answer.text]).toEqual([200, '4'])
    await expect.poll(async () => (await user.client.apps.sleep(id)).status).toBe('sleeping')
  })
})

async function openChat(id: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${platform.port}/ws/lobby?name=ada`, {
    headers: {
      host: `app-${id}.localhost:${platform.port}`,
      origin: `http://app-${id}.localhost:${platform.port}`,
    },
  })
  await once(socket, 'open')
  return socket
}

function version(n: number): string {
  return `from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\nasync def version() -> int:\n    return ${n}\n`
}
