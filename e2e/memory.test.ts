import { once } from 'node:events'
import { get, type ClientRequest } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { HELLO, TestUser } from './harness/user.ts'

/** Has 256 MiB in use while it is awake. */
const LARGE = `import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
data = b"x" * (256 * 2**20)


@app.get("/")
def size() -> int:
    return len(data)


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts():
        while True:
            yield "part "
            await asyncio.sleep(0.1)

    return StreamingResponse(parts())
`
let platform: PlatformUnderTest
let user: TestUser

beforeAll(async () => {
  platform = await startPlatform({ env: { FP_MAX_AWAKE_MB: '256' } })
  user = await TestUser.signUp(platform, 'ada')
})
afterAll(async () => platform[Symbol.asyncDispose]())

/** A stream of the app that has begun. */
async function stream(app: string): Promise<ClientRequest> {
  const { address: host, port } = platform
  const sent = get({ host, port, path: '/stream', headers: { host: `app-${app}.localhost:${port}` } })
  await once(sent, 'response')
  return sent
}

test('where apps use all memory that they may, a wake puts an idle app to sleep, and is refused while none is idle', async () => {
  const { app_id: small } = await user.liveApp({ code: HELLO })
  await user.sleep(small)
  const { app_id: large } = await user.liveApp({ code: LARGE })
  const open = await stream(large)
  const refused = await user.call(small, '/')
  expect([refused.status, JSON.parse(refused.text).code]).toEqual([503, 'FP_MEMORY_FULL'])
  expect(refused.headers['retry-after']).toBe('5')
  open.destroy()
  await expect.poll(async () => (await user.call(small, '/')).status).toBe(200)
  expect((await user.client.apps.get(large)).status).toBe('sleeping')
})
