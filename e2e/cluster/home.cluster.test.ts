import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { examples, run } from '../harness/examples.ts'
import { repeatedly } from '../harness/repeatedly.ts'
import { PATIENCE, saying, useInstallation } from './world.ts'

const world = useInstallation()

// At the same time, as each waits most of the time until its app falls asleep.
describe.concurrent.each(examples)(
  'the example $example',
  ({ example, calls, after_wake: afterWake = [] }) => {
    test('deploys, answers, sleeps with no replica left, wakes and answers again', async () => {
      // One account for each, as all apps of a user share one database.
      const owner = await world.someone()
      const { app_id: appId } = await owner.liveApp({ template_id: example })
      const saved = new Map<string, string>()
      for (const call of calls) await run(owner, appId, call, saved)
      // The app falls asleep by itself: the overlay's idle timeout is short.
      await world.reallyAsleep(appId)
      const woken = await owner.call(appId, calls[0]!.path)
      expect(woken.headers['server-timing']).toMatch(/^wake;dur=/)
      for (const call of afterWake) await run(owner, appId, call, saved)
    })
  },
)

describe('an app', () => {
  test('keeps the lines of its log across sleep, and those of its end', async () => {
    const { app_id: appId } = await world.user.liveApp({
      code: `${saying('logs')}

@app.on_event("shutdown")
def over() -> None:
    print("the last words")
`,
    })
    await world.user.call(appId, '/')
    await world.asleep(appId)
    await world.reallyAsleep(appId)
    const lines = async (): Promise<string[]> =>
      (await world.user.client.apps.logs(appId, { lines: 50 })).lines
    await expect.poll(lines, PATIENCE).toEqual(['called', 'the last words'])
    await world.user.call(appId, '/')
    await expect.poll(lines, PATIENCE).toEqual(['called', 'the last words', 'called'])
  })

  test('that fails to start reports its own error', async () => {
    const app = await world.user.createApp({
      code: `import os\n\nkey = os.environ["MISSING"]\n${saying('')}`,
    })
    const deployment = await world.user.deploy(app.app_id)
    expect(deployment).toMatchObject({
      stage: 'failed',
      failure: {
        code: 'FP_APP_IMPORT_FAILED',
        file: 'app.py',
        line: 3,
        message: expect.stringContaining('MISSING') as string,
      },
    })
  })

  test('answers through the console’s try-it panel', async () => {
    const { app_id: appId } = await world.user.liveApp({ code: saying('panel') })
    await world.asleep(appId)
    const answer = await world.user.client.apps.proxy(appId, {
      method: 'GET',
      path: '/',
    })
    expect(answer).toMatchObject({ status_code: 200, body: expect.stringContaining('panel') as string })
  })

  test('wakes for a WebSocket, which keeps it awake', async () => {
    const { app_id: appId } = await world.user.liveApp({ template_id: 'websocket-chat' })
    await world.asleep(appId)
    const host = `app-${appId}.${world.fp.appDomain}`
    const socket = new WebSocket(`ws://${world.fp.address}:${world.fp.port}/ws/lobby?name=ada`, {
      headers: { host, origin: `http://${host}` },
    })
    let heard = ''
    socket.on('message', (data) => (heard += String(data)))
    await once(socket, 'open')
    socket.send(JSON.stringify({ text: 'hello there' }))
    await expect.poll(() => heard, PATIENCE).toContain('hello there')
    expect((await world.user.client.apps.sleep(appId)).status).toBe('running')
    socket.close()
    await once(socket, 'close')
    await world.asleep(appId)
  })

  test('streams events as they are sent, and receives a complete large upload, each after a wake', async () => {
    const { app_id: appId } = await world.user.liveApp({
      code: `import asyncio
import hashlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
gate = asyncio.Event()


async def events() -> AsyncIterator[str]:
    yield "data: first\\n\\n"
    await gate.wait()
    yield "data: second\\n\\n"


@app.get("/events")
async def stream() -> StreamingResponse:
    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/open")
async def open_gate() -> None:
    gate.set()


@app.post("/digest")
async def digest(request: Request) -> str:
    sha = hashlib.sha256()
    async for chunk in request.stream():
        sha.update(chunk)
    return sha.hexdigest()
`,
    })
    await world.asleep(appId)
    const headers = { host: `app-${appId}.${world.fp.appDomain}`, accept: 'text/event-stream' }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpGet({ host: world.fp.address, port: world.fp.port, path: '/events', headers }, resolve).once(
        'error',
        reject,
      )
    })
    let heard = ''
    response.setEncoding('utf8').on('data', (text: string) => (heard += text))
    const ended = once(response, 'end')
    await expect.poll(() => heard, PATIENCE).toBe('data: first\n\n')
    await world.user.call(appId, '/open', { method: 'POST' })
    await ended
    expect(heard).toBe('data: first\n\ndata: second\n\n')

    await world.asleep(appId)
    const body = Buffer.alloc(32 * 1024 * 1024, 'fp upload ')
    const answer = await world.user.call(appId, '/digest', { method: 'POST', body })
    expect(answer.json()).toBe(createHash('sha256').update(body).digest('hex'))
  })

  test('that is deleted leaves nothing in the cluster', async () => {
    const { app_id: appId } = await world.user.liveApp({ code: saying('gone') })
    await world.user.call(appId, '/')
    await world.user.client.apps.remove(appId)
    await expect
      .poll(
        () =>
          world.fp.objects(
            'deployments,replicasets,pods,secrets,services,endpointslices',
            'fp-apps',
            `fp.dev/app=${appId}`,
          ),
        PATIENCE,
      )
      .toEqual([])
    expect((await world.user.call(appId, '/')).status).toBe(404)
  })

  test('gets its objects back when somebody deletes them', async () => {
    const { app_id: appId } = await world.user.liveApp({ code: saying('drift') })
    await world.asleep(appId)
    const selector = `fp.dev/app=${appId}`
    await world.fp.kubectl('-n', 'fp-apps', 'delete', 'services,secrets,deployments', '-l', selector)
    for (const kind of ['services', 'secrets', 'deployments'])
      await expect.poll(() => world.fp.objects(kind, 'fp-apps', selector), PATIENCE).toHaveLength(1)
    await expect.poll(async () => (await world.user.call(appId, '/')).status, PATIENCE).toBe(200)
  })
})

describe('a switch of versions', () => {
  test('loses no request, and neither does the switch back', async () => {
    const { app_id: appId } = await world.user.liveApp({ code: saying('one') })
    const seen: string[] = []
    const bad: string[] = []
    const load = repeatedly(async () => {
      const answer = await world.user.call(appId, '/')
      if (answer.status === 200) seen.push((answer.json() as { text: string }).text)
      else bad.push(`${answer.status} ${answer.text}`)
    }, 4)
    await expect.poll(() => seen.length, PATIENCE).toBeGreaterThan(20)
    expect((await world.user.deploy(appId, { 'app.py': saying('two') })).stage).toBe('ready')
    await expect.poll(() => seen.at(-1), PATIENCE).toBe('two')
    const { deployment_id: back } = await world.user.client.apps.rollback(appId, 1)
    expect((await world.user.finished(appId, back)).stage).toBe('ready')
    const count = seen.length
    await expect.poll(() => seen.length, PATIENCE).toBeGreaterThan(count + 50)
    await load.stop()
    console.log(`${seen.length} requests during two switches, ${bad.length} lost`)
    expect(bad).toEqual([])
    expect(seen.at(-1)).toBe('one')
    // For a moment both versions answered. The first and the last answers are the expected ones.
    expect([...new Set(seen)].sort()).toEqual(['one', 'two'])
    // The pods of the version that is not live have ended.
    await expect
      .poll(() => world.fp.objects('deployments', 'fp-apps', `fp.dev/app=${appId}`), PATIENCE)
      .toHaveLength(1)
  })
})
