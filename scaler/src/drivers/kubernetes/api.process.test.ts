import { KubeConfig, type User } from '@kubernetes/client-node'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { KubernetesApi } from './api.ts'

/** A generous limit, because the machine may be busy. */
const poll = <T>(look: () => T) => expect.poll(look, { timeout: 10_000 })
let server: Server
let api: KubernetesApi
/** The received requests, each with its client port. */
let asked: { request: IncomingMessage; body: string; from: number }[]

afterEach(async () => {
  await api[Symbol.asyncDispose]()
  server.closeAllConnections()
  server.close()
})

async function serve(
  listener: (...args: [...Parameters<RequestListener>, number]) => unknown,
  options: { user?: Partial<User>; path?: string } = {},
): Promise<void> {
  asked = []
  server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    asked.push({ request, body, from: request.socket.remotePort! })
    listener(request, response, asked.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const config = new KubeConfig()
  const { port } = server.address() as AddressInfo
  config.loadFromOptions({
    clusters: [
      { name: 'test', server: `http://127.0.0.1:${port}${options.path ?? ''}`, skipTLSVerify: true },
    ],
    users: [{ name: 'test', token: 'secret', ...options.user }],
    contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
    currentContext: 'test',
  })
  api = new KubernetesApi(config)
}

describe('a request', () => {
  test('is sent as JSON with the credentials, and its response is parsed', async () => {
    await serve((_request, response) => response.end('{"kind":"Pod"}'))
    expect(await api.request('GET', '/api/v1/pods', { query: { limit: 5, watch: undefined } })).toEqual({
      kind: 'Pod',
    })
    const { request } = asked[0]!
    expect(request.url).toBe('/api/v1/pods?limit=5')
    expect(request.headers).toMatchObject({ authorization: 'Bearer secret', accept: 'application/json' })
  })

  test.each([
    [undefined, 'application/json'],
    ['merge', 'application/merge-patch+json'],
    ['json', 'application/json-patch+json'],
    ['apply', 'application/apply-patch+yaml'],
  ] as const)('with a body says what it is: %s', async (patch, type) => {
    await serve((_request, response) => response.end())
    const answer = await api.request('PATCH', '/x', { body: { a: 'ü' }, ...(patch ? { patch } : {}) })
    expect(answer).toBeUndefined()
    expect(asked[0]!.request.headers['content-type']).toBe(type)
    expect(asked[0]!.body).toBe('{"a":"ü"}')
  })

  test('keeps the path of the server URL', async () => {
    await serve((_request, response) => response.end('{}'), { path: '/k8s/clusters/c-1/' })
    await api.request('GET', '/api/v1/pods')
    expect(asked[0]!.request.url).toBe('/k8s/clusters/c-1/api/v1/pods')
  })

  test('reuses connections', async () => {
    await serve((_request, response) => response.end('{}'))
    for (let time = 0; time < 10; time++) await api.request('GET', '/x')
    // The first connection may not be free yet when the second request is sent.
    expect(new Set(asked.map(({ from }) => from)).size).toBeLessThanOrEqual(2)
  })

  test('that gets 401 is sent once more over a new connection', async () => {
    await serve((_request, response, time) => {
      response.writeHead(time === 1 ? 401 : 200).end('{}')
    })
    await api.request('POST', '/x', { body: { a: 1 } })
    expect(asked.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}'])
    expect(asked[1]!.from).not.toBe(asked[0]!.from)
    await api.request('GET', '/x')
    expect(asked[2]!.from).not.toBe(asked[0]!.from)
  })

  test('that gets 401 does not end existing streams', async () => {
    await serve((request, response, time) => {
      if (request.url === '/stream') {
        response.write('first')
        setTimeout(() => response.end('last'), 200)
      } else response.writeHead(time < 3 ? 401 : 200).end('{}')
    })
    const stream = await api.stream('/stream')
    await api.request('GET', '/x')
    const pieces: Uint8Array[] = []
    for await (const piece of stream) pieces.push(piece)
    expect(Buffer.concat(pieces).toString()).toBe('firstlast')
  })

  test('that gets 401 twice is rejected', async () => {
    await serve((_request, response) => {
      response.writeHead(401).end('{"reason":"Unauthorized","message":"Unauthorized"}')
    })
    await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 401, reason: 'Unauthorized' })
    expect(asked).toHaveLength(2)
  })

  test('that is refused rejects with the reason', async () => {
    await serve((_request, response) => {
      response.writeHead(404).end('{"reason":"NotFound","message":"pods \\"x\\" not found"}')
    })
    await expect(api.request('GET', '/pods/x')).rejects.toMatchObject({
      name: 'KubernetesApiError',
      message: 'GET /pods/x: 404 pods "x" not found',
      status: 404,
      reason: 'NotFound',
    })
  })

  test.each(['<html>Bad gateway</html>', 'null', '"text"', ''])(
    'that is refused by something else, with %j, has its status',
    async (page) => {
      await serve((_request, response) => response.writeHead(502).end(page))
      await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 502, reason: 'Unknown' })
    },
  )

  test('that gets a response from something other than the API server is an error too', async () => {
    await serve((_request, response) => response.end('<html>Log in</html>'))
    await expect(api.request('GET', '/x')).rejects.toMatchObject({
      name: 'KubernetesApiError',
      status: 200,
      message: 'GET /x: 200 <html>Log in</html>',
    })
  })

  test.each([
    ['breaks off', 200],
    ['does not begin', undefined],
  ])('whose response %s rejects as unreachable', async (_, status) => {
    await serve((_request, response) => {
      if (status) response.writeHead(status, { 'content-length': 100 }).write('{')
      setImmediate(() => response.destroy())
    })
    await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 0, reason: 'Unreachable' })
  })

  test('to an address where nobody listens rejects as unreachable', async () => {
    await serve(() => undefined)
    server.close()
    await expect(api.request('GET', '/x')).rejects.toMatchObject({
      status: 0,
      message: expect.stringMatching(/127\.0\.0\.1:\d+ could not be asked: .*ECONNREFUSED/) as string,
    })
  })

  test('whose credentials cannot be loaded rejects as unreachable', async () => {
    await serve(() => undefined, {
      user: {
        token: '',
        exec: { apiVersion: 'client.authentication.k8s.io/v1', command: '/no/such/program' },
      } as never,
    })
    await expect(api.request('GET', '/x')).rejects.toMatchObject({ status: 0, reason: 'Unreachable' })
    expect(asked).toEqual([])
  })

  test('that is aborted rejects with the reason: before, during and after the response head', async () => {
    const reason = new Error('not wanted')
    await serve((request, response) => {
      if (request.url === '/head') response.writeHead(200).write('{')
    })
    await expect(api.request('GET', '/x', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(asked).toEqual([])
    for (const path of ['/silent', '/head']) {
      const stop = new AbortController()
      const answer = api.request('GET', path, { signal: stop.signal })
      await poll(() => asked.at(-1)?.request.url).toBe(path)
      stop.abort(reason)
      await expect(answer).rejects.toBe(reason)
    }
  })
})

test('a stream delivers data as it is sent, and ends when it is aborted', async () => {
  await serve((_request, response) => void response.write('one'))
  const stop = new AbortController()
  const pieces = (await api.stream('/log', { signal: stop.signal }))[Symbol.asyncIterator]()
  expect(Buffer.from((await pieces.next()).value as Uint8Array).toString()).toBe('one')
  stop.abort(new Error('not wanted'))
  await expect(pieces.next()).rejects.toThrow('not wanted')
  await poll(() => asked[0]!.request.socket.destroyed).toBe(true)
})

test('a configuration without a cluster is refused', () => {
  expect(() => new KubernetesApi(new KubeConfig())).toThrow('no current cluster')
})
