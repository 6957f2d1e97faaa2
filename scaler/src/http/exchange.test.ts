import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import { createActivator } from '../activator.ts'
import { FakeDriver, settle } from '../drivers/fake/index.ts'
import type { Activator } from '../types.ts'
import type { ScalerProxyOptions } from './options.ts'
import { scalerProxy } from './plugin.ts'

let app: Server
let activator: Activator
let proxy: FastifyInstance
let url: string
let port: number

afterEach(async () => {
  await activator.close({ signal: AbortSignal.abort() }).catch(() => undefined)
  await proxy.close()
  app.closeAllConnections()
  app.close()
})

/** A proxy in front of an app that is awake. */
async function start(
  handler: RequestListener,
  options: Partial<ScalerProxyOptions> = {},
  prepare: (fastify: FastifyInstance) => void = () => undefined,
  server: FastifyServerOptions = {},
): Promise<void> {
  app = createServer(handler).listen(0, '127.0.0.1')
  await once(app, 'listening')
  const driver = new FakeDriver()
  activator = await createActivator({ driver })
  const endpoint = new URL(`http://127.0.0.1:${(app.address() as AddressInfo).port}`)
  driver.emit('app', { ready: [{ id: 'app-1', url: endpoint }] })
  proxy = Fastify(server) as FastifyInstance
  prepare(proxy)
  await proxy.register(scalerProxy, { activator, resolve: () => 'app', ...options })
  url = await proxy.listen({ port: 0, host: '127.0.0.1' })
  port = Number(new URL(url).port)
}

async function idle(): Promise<void> {
  while (activator.stats('app')?.inFlight !== 0) await settle()
}

/** What a raw client receives until the connection ends, and the error if the connection is not closed normally. */
async function raw(request: string): Promise<{ got: string; error: string | undefined }> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  let got = ''
  let error: string | undefined
  socket.on('data', (data) => (got += String(data))).on('error', ({ message }) => (error = message))
  socket.write(request)
  await once(socket, 'close').catch(() => undefined)
  return { got, error }
}

test('headers that the embedder has set are sent unless the app sets them', async () => {
  await start(
    (_request, response) => response.setHeader('x-both', 'app').setHeader('set-cookie', ['a=1', 'c=3']).end(),
    {},
    (fastify) =>
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.headers({ 'x-request-id': '7', 'x-both': 'front', 'set-cookie': 'b=2' })
        reply.raw.setHeader('x-raw', '8')
      }),
  )
  const { headers } = await fetch(url)
  expect(['x-request-id', 'x-both', 'x-raw'].map((name) => headers.get(name))).toEqual(['7', 'app', '8'])
  expect(headers.getSetCookie()).toEqual(['a=1', 'c=3', 'b=2'])
})

test('onResponse hooks are called for each response, with its status; onSend hooks are not', async () => {
  const heard: string[] = []
  await start(
    (_request, response) => response.writeHead(418).end('tea'),
    {},
    (fastify) => {
      fastify.addHook('onSend', async () => void heard.push('send'))
      fastify.addHook(
        'onResponse',
        async (_request, reply) => void heard.push(`response ${reply.statusCode}`),
      )
    },
  )
  expect(await (await fetch(url)).text()).toBe('tea')
  await idle()
  expect(heard).toEqual(['response 418'])
})

test('a body that Fastify could parse is forwarded unparsed, whatever the bodyLimit', async () => {
  await start((request, response) => request.pipe(response), {}, undefined, { bodyLimit: 10 })
  for (const type of ['text/plain', 'application/json']) {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': type },
      body: '{'.repeat(1_000),
    })
    expect(await answer.text()).toBe('{'.repeat(1_000))
  }
})

test('a response before the end of the upload arrives completely, and closes the connection', async () => {
  const answer = 'no'.repeat(4 * 1024 * 1024)
  await start((_request, response) =>
    response.writeHead(413, { 'content-length': answer.length }).end(answer),
  )
  const upload = httpRequest(url, { method: 'POST' })
  upload.on('error', () => undefined)
  const push = (): void => {
    while (!upload.destroyed && upload.write(Buffer.alloc(64 * 1024)));
  }
  upload.on('drain', push)
  push()
  const [response] = (await once(upload, 'response')) as [IncomingMessage]
  expect([response.statusCode, response.headers.connection]).toEqual([413, 'close'])
  expect((await text(response)).length).toBe(answer.length)
  upload.destroy()
  await idle()
})

describe('methods', () => {
  test('that Fastify does not support by default are proxied, including the body', async () => {
    await start((request, response) => {
      request.pipe(response.setHeader('x-method', request.method!))
    })
    for (const method of ['PROPFIND', 'REPORT', 'PURGE']) {
      const sent = httpRequest(url, { method })
      sent.end('body')
      const [answer] = (await once(sent, 'response')) as [IncomingMessage]
      expect([answer.headers['x-method'], await text(answer)]).toEqual([method, 'body'])
    }
  })

  test('that are not in the option get 404', async () => {
    await start((_request, response) => response.end(), { httpMethods: ['GET'] })
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url, { method: 'POST' })).status).toBe(404)
  })
})

describe('a response that breaks off', () => {
  const cut: RequestListener = (_request, response) => {
    response.write('half')
    setImmediate(() => response.destroy())
  }

  test('has no last chunk', async () => {
    await start(cut)
    const { got } = await raw('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(got).toContain('half')
    expect(got).not.toContain('\r\n0\r\n')
    await idle()
  })

  test('ends with a connection reset if the end of the connection marks the end of the body', async () => {
    await start(cut)
    expect((await raw('GET / HTTP/1.0\r\n\r\n')).error).toContain('ECONNRESET')
    await idle()
  })
})

describe('with an idleBodyTimeout', () => {
  test('a response without progress is aborted, at the app too', async () => {
    let closed = (): void => undefined
    const ended = new Promise<void>((resolve) => (closed = resolve))
    await start((_request, response) => response.once('close', closed).write('half'), {
      idleBodyTimeout: 500,
    })
    const { got } = await raw('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(got).toContain('half')
    expect(got).not.toContain('\r\n0\r\n')
    await ended
    await idle()
  })

  test('an upload without progress is aborted, at the app too', async () => {
    let closed = (): void => undefined
    const ended = new Promise<void>((resolve) => (closed = resolve))
    await start((request) => request.once('close', closed).resume(), { idleBodyTimeout: 500 })
    const { got } = await raw('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf')
    expect(got).toBe('')
    await ended
    await idle()
  })

  test('the time until the app begins its response is not counted', async () => {
    let first = (): void => undefined
    await start(
      (request, response) => {
        request.resume()
        // A later response that is aborted as idle shows that the idle time of the first one has passed too.
        if (request.url === '/first') first = () => response.end('late')
        else request.once('close', () => first())
      },
      { idleBodyTimeout: 500 },
    )
    const answer = fetch(`${url}/first`, { method: 'POST', body: 'whole' })
    while (activator.stats('app')?.inFlight !== 1) await settle()
    await raw('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf')
    expect(await (await answer).text()).toBe('late')
  })
})
