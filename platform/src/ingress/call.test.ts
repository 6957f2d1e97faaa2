import { createActivator } from '@fp/scaler'
import { FakeDriver } from '@fp/scaler/fake'
import type { ProxyBody } from '@fp/sdk/wire'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { shownAnswer } from '../modules/calls/shown.ts'
import { callApp } from './call.ts'

type Shown = Awaited<ReturnType<typeof shownAnswer>>

/** Calls an app that does this with each connection once a request has arrived. */
async function call(
  app: (socket: Socket, request: string) => void,
  request: ProxyBody = { method: 'GET', path: '/' },
  gone: AbortSignal = new AbortController().signal,
): Promise<Shown> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', (data) => app(socket, String(data)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const driver = new FakeDriver()
  const activator = await createActivator({ driver })
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  driver.emit('a.1.1', { ready: [{ id: 'a', url }] })
  try {
    const { headers = {}, ...rest } = request
    const client = { address: '192.0.2.7', scheme: 'https' }
    const appRequest = { key: 'a.1.1', host: 'app-a.x', client, headers, ...rest }
    return await shownAnswer(await callApp(activator, appRequest, { signal: gone }))
  } finally {
    await activator.close()
    server.close()
  }
}

describe('a fault of the app that its owner calls from the console is a 502 with a code', () => {
  const ok = 'HTTP/1.1 200 OK\r\n'
  test.each([
    ['it closes the connection', ''],
    ['it is no HTTP server', 'what?\r\n\r\n'],
    ['it ends amid its head', 'HTTP/1.1 20'],
    ['it ends amid its body', `${ok}content-length: 10\r\n\r\nhalf`],
    ['it ends amid a chunk', `${ok}transfer-encoding: chunked\r\n\r\n5\r\nha`],
    ['its length is no number', `${ok}content-length: ten\r\n\r\n`],
    ['it has a length and chunks', `${ok}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a header has a NUL', `${ok}x: a\0b\r\n\r\n`],
    [
      'it switches protocols',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ],
    ['its status is none', 'HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n'],
  ])('(%s)', async (_name, bytes) => {
    await expect(call((socket) => socket.end(bytes))).rejects.toMatchObject({
      code: 'FP_APP_CRASHED',
      statusCode: 502,
      message: expect.stringMatching(/^The app (closed|did not)/),
    })
  })

  test('(its head is too large)', async () => {
    const bytes = `${ok}x: ${'a'.repeat(200_000)}\r\n\r\n`
    await expect(call((socket) => socket.end(bytes))).rejects.toMatchObject({
      code: 'FP_APP_HEADERS_TOO_LARGE',
      statusCode: 502,
    })
  })

  test('(its head has too many lines)', async () => {
    const bytes = `${ok}${'a: b\r\n'.repeat(5_000)}\r\n`
    await expect(call((socket) => socket.end(bytes))).rejects.toMatchObject({
      code: 'FP_APP_HEADERS_TOO_LARGE',
      statusCode: 502,
    })
  })

  test('(its chunks have much larger extensions than content)', async () => {
    const chunk = `1;${'a'.repeat(1_000)}\r\nx\r\n`
    const bytes = `${ok}transfer-encoding: chunked\r\n\r\n${chunk.repeat(1_000)}0\r\n\r\n`
    await expect(call((socket) => socket.end(bytes))).rejects.toMatchObject({ statusCode: 502 })
  })

  test('(it resets the connection)', async () => {
    await expect(call((socket) => socket.resetAndDestroy())).rejects.toMatchObject({ statusCode: 502 })
  })
})

test('a valid answer of an app is shown, whatever its status', async () => {
  const answer = await call((socket) => socket.end('HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno'))
  expect(answer).toMatchObject({ status_code: 500, body: 'no', body_truncated: false })
})

test('a binary body arrives completely in base64; text is decoded with the encoding of its type', async () => {
  const respond = (type: string, body: Buffer): Promise<Shown> =>
    call((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`)
      socket.end(body)
    })
  const picture = Buffer.from('89504e470d0a1a0aff00', 'hex')
  expect(await respond('image/png', picture)).toMatchObject({
    body: picture.toString('base64'),
    body_encoding: 'base64',
  })
  expect(await respond('text/plain; charset=iso-8859-1', Buffer.from('façade', 'latin1'))).toMatchObject({
    body: 'façade',
    body_encoding: 'text',
  })
  expect(await respond('text/plain', Buffer.from('façade', 'latin1'))).toMatchObject({
    body_encoding: 'base64',
  })
  const long = Buffer.from(`x${'ü'.repeat(600_000)}`)
  const answer = await respond('text/plain', long)
  expect(answer).toMatchObject({ body_encoding: 'text', body_truncated: true })
  expect(answer.body.endsWith('ü')).toBe(true)
})

test('a client that disconnects ends the call, which is not an error of the app', async () => {
  const gone = new AbortController()
  const calling = call(() => gone.abort(new Error('gone')), undefined, gone.signal)
  await expect(calling).rejects.toThrow('gone')
})

test('an app gets the caller of a request through the API, and nobody can forge it', async () => {
  let seen = ''
  const headers = {
    'fp-client': '6.6.6.6 1 http evil 80 1.1',
    'FP-Client-Host': 'evil',
    'X-Forwarded-For': '6.6.6.6',
    forwarded: 'for=6.6.6.6',
    'x-real-ip': '6.6.6.6',
    'x-request-id': 'evil',
    'x-a': '1',
  }
  await call(
    (socket, request) => {
      seen = request
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    },
    { method: 'POST', path: '/', headers, body: 'ü' },
  )
  expect(seen).not.toMatch(/^forwarded:/im)
  expect(seen.split('\r\n').filter((line) => /^(fp|x)-/i.test(line))).toEqual([
    'fp-client-host: app-a.x',
    'fp-client: 192.0.2.7 0 https app-a.x 443 1.1',
    'x-forwarded-for: 192.0.2.7',
    'x-forwarded-proto: https',
    'x-forwarded-host: app-a.x',
    expect.stringMatching(/^x-request-id: req_/),
    'fp-client-content-length: 2',
    'fp-client-fp-client: 6.6.6.6 1 http evil 80 1.1',
    'fp-client-fp-client-host: evil',
    'x-a: 1',
  ])
})

test('hop-by-hop headers are passed neither to the app nor to the caller', async () => {
  let seen = ''
  const answer = await call(
    (socket, request) => {
      seen = request
      socket.end(
        'HTTP/1.1 200 OK\r\nconnection: close, x-drop\r\nx-drop: 1\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nok',
      )
    },
    {
      method: 'GET',
      path: '/',
      headers: { Connection: 'x-gone', 'X-Gone': '1', TE: 'trailers', 'x-a': '1' },
    },
  )
  expect(answer.headers).toEqual({ 'x-kept': '1', 'content-length': '2' })
  expect(seen).toMatch(/\r\nx-a: 1\r\n/)
  expect(seen).not.toMatch(/x-gone|trailers/i)
})
