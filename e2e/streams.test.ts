import { once } from 'node:events'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

let platform: PlatformUnderTest
let user: TestUser
beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'streamer')
})
afterAll(async () => {
  await platform[Symbol.asyncDispose]()
})

/** A person in a chat room, and all received messages. */
async function join(
  id: string,
  name: string,
): Promise<{ socket: WebSocket; said: (text: string) => Promise<void> }> {
  const host = `app-${id}.localhost:${platform.port}`
  const socket = new WebSocket(`ws://127.0.0.1:${platform.port}/ws/lobby?name=${name}`, {
    headers: { host, origin: `http://${host}` },
  })
  let heard = ''
  socket.on('message', (data) => (heard += String(data)))
  await once(socket, 'open')
  const said = async (text: string): Promise<void> => {
    while (!heard.includes(text)) await once(socket, 'message')
  }
  return { socket, said }
}

test('the chat wakes for a WebSocket, passes messages both ways, and sleeps once all have left', async () => {
  const { app_id: id } = await user.liveApp({ template_id: 'websocket-chat' })
  await user.sleep(id)
  const ada = await join(id, 'ada')
  const bob = await join(id, 'bob')
  await ada.said('bob')
  ada.socket.send(JSON.stringify({ text: 'hello bob' }))
  await bob.said('hello bob')
  expect(await user.api('POST', `/apps/${id}/sleep`)).toMatchObject({
    status: 409,
    body: { code: 'FP_APP_BUSY' },
  })
  for (const { socket } of [ada, bob]) {
    socket.close()
    await once(socket, 'close')
  }
  await user.sleep(id)
  expect((await user.client.apps.get(id)).status).toBe('sleeping')
})

test('server-sent events arrive as they are sent, also when the app had to wake', async () => {
  const code = `import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
gate = asyncio.Event()


async def events() -> AsyncIterator[str]:
    yield "data: first\\n\\n"
    await gate.wait()
    yield "data: second\\n\\n"


@app.get("/events")
def stream() -> StreamingResponse:
    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/open")
def open_gate() -> None:
    gate.set()
`
  const { app_id: id } = await user.liveApp({ code: code.replace('def open_gate', 'async def open_gate') })
  await user.sleep(id)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { host: `app-${id}.localhost:${platform.port}`, accept: 'text/event-stream' }
    httpGet({ host: '127.0.0.1', port: platform.port, path: '/events', headers }, resolve).once(
      'error',
      reject,
    )
  })
  let heard = ''
  response.setEncoding('utf8').on('data', (text: string) => (heard += text))
  const ended = once(response, 'end')
  while (heard !== 'data: first\n\n') await once(response, 'data')
  await user.call(id, '/open', { method: 'POST' })
  await ended
  expect(heard).toBe('data: first\n\ndata: second\n\n')
})

test('a large upload to a sleeping app arrives completely', async () => {
  const code = `import hashlib

from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/")
async def digest(request: Request) -> str:
    sha = hashlib.sha256()
    async for chunk in request.stream():
        sha.update(chunk)
    return sha.hexdigest()
`
  const { app_id: id } = await user.liveApp({ code })
  await user.sleep(id)
  const body = Buffer.alloc(48 * 1024 * 1024, 'fp upload ')
  const answer = await user.call(id, '/', { method: 'POST', body })
  expect(answer.json()).toBe(createHash('sha256').update(body).digest('hex'))
})

test('an app completes its work after an answer before it sleeps', async () => {
  const code = `import asyncio
import os

from fastapi import BackgroundTasks, FastAPI
from pymongo import MongoClient

app = FastAPI()
notes = MongoClient(os.environ["PLATFORM_MONGO_URI"]).get_default_database().background


async def later() -> None:
    await asyncio.sleep(0.7)
    notes.insert_one({"done": True})


@app.post("/")
async def start(tasks: BackgroundTasks) -> str:
    tasks.add_task(later)
    return "accepted"


@app.get("/")
def done() -> int:
    return notes.count_documents({})
`
  const { app_id: id } = await user.liveApp({ code })
  expect((await user.call(id, '/', { method: 'POST' })).text).toBe('"accepted"')
  await user.sleep(id)
  await expect.poll(async () => (await user.call(id, '/')).text).toBe('1')
})

test('the API proxies one request for the owner, cold and warm', async () => {
  const { app_id: id } = await user.liveApp({ template_id: 'hello-api' })
  await user.sleep(id)
  const send = (): Promise<{ status_code: number; cold_start: boolean; latency_ms: number; body: string }> =>
    user.client.apps.proxy(id, { method: 'GET', path: '/' })
  const cold = await send()
  const warm = await send()
  expect([cold.status_code, cold.cold_start, warm.cold_start]).toEqual([200, true, false])
  expect(warm.latency_ms).toBeGreaterThan(0)
})

test('another user’s app does not exist for anybody else', async () => {
  const { app_id: id } = await user.liveApp({ template_id: 'hello-api' })
  const stranger = await TestUser.signUp(platform, 'stranger')
  const unknown = await stranger.api('GET', '/apps/doesnotexist')
  for (const [method, path] of [
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['POST', '/deploy'],
    ['POST', '/sleep'],
    ['GET', '/logs'],
    ['GET', '/versions'],
  ] as const) {
    const answer = await stranger.api<{ code: string }>(
      method,
      `/apps/${id}${path}`,
      method === 'GET' || method === 'DELETE' ? undefined : {},
    )
    expect([method, path, answer.status, answer.body.code]).toEqual([
      method,
      path,
      unknown.status,
      'FP_APP_NOT_FOUND',
    ])
  }
})
