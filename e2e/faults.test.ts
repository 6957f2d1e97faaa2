import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

/** `POST /odd` closes its connection without an answer, as a server does that meets what it cannot handle. */
const ODD = `import asyncio
import gc
import os

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
released = asyncio.Event()


@app.get("/pid")
def pid() -> int:
    return os.getpid()


@app.get("/download")
async def download() -> StreamingResponse:
    async def parts():
        yield "first "
        await released.wait()
        yield "last"

    return StreamingResponse(parts())


@app.post("/release")
async def release() -> None:
    released.set()


@app.post("/odd")
async def odd() -> None:
    for cycle in gc.get_objects():
        if type(cycle).__name__ == "RequestResponseCycle" and cycle.scope["path"] == "/odd":
            cycle.transport.abort()
`

let platform: PlatformUnderTest
let user: TestUser

beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'ada')
})
afterAll(async () => platform[Symbol.asyncDispose]())

test("one visitor's odd requests do not restart the app under another visitor's download", async () => {
  const { app_id: app } = await user.liveApp({ code: ODD })
  const pid = (await user.call(app, '/pid')).text
  const download = await begun(app, '/download')
  for (let i = 0; i < 12; i++) {
    const answer = await user.call(app, '/odd', { method: 'POST' })
    expect(answer.status, answer.text).toBe(502)
    expect((await user.call(app, '/pid')).text).toBe(pid)
  }
  await user.call(app, '/release', { method: 'POST' })
  expect(await textOf(download)).toBe('first last')
})

/** A GET of an app, once the head of its answer has arrived. */
async function begun(app: string, path: string): Promise<IncomingMessage> {
  const { address: host, port } = platform
  const sent = get({ host, port, path, headers: { host: `app-${app}.localhost:${port}` } })
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return response
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of response) text += String(part)
  return text
}
