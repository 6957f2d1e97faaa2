import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startFront, type FrontWithApi } from '../../test/front.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

const HEAD = 'POST /api/x HTTP/1.1\r\nhost: fp\r\nconnection: close\r\n'

/** An API that reads bodies, at once or when it is told to. */
async function start({ waits = false } = {}) {
  let got = 0
  let ended = 0
  let read: () => void = () => undefined
  const front = await startFront((req, res) => {
    res.once('close', () => ended++)
    read = () =>
      void req
        .on('error', () => undefined)
        .on('data', (data: Buffer) => (got += data.length))
        .on('end', () => res.end('done'))
    if (!waits) read()
  })
  return { front, got: () => got, ended: () => ended, read: () => read() }
}

function send(front: FrontWithApi, head: string) {
  const socket = front.connect()
  const answer = text(socket)
  socket.write(head)
  return { socket, answer }
}

test.each([
  ['with a length', 'content-length: 4000\r\n\r\n', 'x'],
  ['in chunks', 'transfer-encoding: chunked\r\n\r\n', '1\r\nx\r\n'],
])('a body %s of which one byte at a time comes is ended after 15 s', async (_how, head, byte) => {
  const world = await start()
  const { socket, answer } = send(world.front, HEAD + head)
  for (let n = 1; n <= 2; n++) {
    socket.write(byte)
    await expect.poll(world.got).toBe(n)
    vi.advanceTimersByTime(5_000)
  }
  expect(world.ended()).toBe(0)
  vi.advanceTimersByTime(5_000)
  expect(await answer).toMatch(/^HTTP\/1\.1 408 [^]*"code":"FP_BAD_REQUEST"/)
  await expect.poll(world.ended).toBe(1)
})

test('a slow body that makes progress may take longer', async () => {
  const world = await start()
  const { socket, answer } = send(world.front, `${HEAD}content-length: 8192\r\n\r\n`)
  for (let n = 1; n <= 8; n++) {
    socket.write('x'.repeat(1024))
    await expect.poll(world.got).toBe(n * 1024)
    vi.advanceTimersByTime(10_000)
  }
  expect(await answer).toMatch(/^HTTP\/1\.1 200 [^]*done/)
})

test('a client whose body is not read by the API is not ended', async () => {
  const world = await start({ waits: true })
  const size = 32 * 2 ** 20
  const { socket, answer } = send(world.front, `${HEAD}content-length: ${size}\r\n\r\n`)
  socket.write(Buffer.alloc(size))
  let before = -1
  // Once all buffers on the way are full.
  await expect.poll(() => before === (before = socket.bytesWritten), { interval: 100 }).toBe(true)
  for (let n = 0; n < 10; n++) vi.advanceTimersByTime(5_000)
  world.read()
  expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
})
