import Fastify from 'fastify'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startFront, type FrontWithApi } from '../../test/front.ts'
import { USER_HEADER } from './forwarded.ts'

const MB = 2 ** 20
/** How many bytes the sockets and streams on the way may buffer together. */
const HELD = 8 * MB

interface Asked {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

/** An API whose answers the test writes. */
function byHand(): { listener: RequestListener; next(): Promise<Asked> } {
  const asked: Asked[] = []
  const wanted: ((one: Asked) => void)[] = []
  return {
    listener(req, res) {
      req.on('error', () => undefined)
      const take = wanted.shift()
      if (take) take({ req, res })
      else asked.push({ req, res })
    },
    next: async () => asked.shift() ?? new Promise<Asked>((resolve) => wanted.push(resolve)),
  }
}

interface SendOptions {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string | number>
  readonly agent?: Agent
}

/** A request whose body the caller writes. */
function open({ port }: FrontWithApi, { headers = {}, agent, ...rest }: SendOptions = {}) {
  const sent = request({ port, headers: { host: 'fp', ...headers }, agent: agent ?? false, ...rest })
  const answer = once(sent, 'response').then(([response]) => response as IncomingMessage)
  answer.catch(() => undefined)
  sent.on('error', () => undefined)
  return { sent, answer }
}

async function ask(front: FrontWithApi, options: SendOptions & { body?: string | Buffer } = {}) {
  const { body, ...rest } = options
  const { sent, answer } = open(front, rest)
  sent.end(body)
  const response = await answer
  return { status: response.statusCode, headers: response.headers, text: await text(response) }
}

/** A stream of so many bytes, as fast as they are read. */
function source(size: number): { stream: Readable; taken(): number } {
  let taken = 0
  const piece = Buffer.alloc(64 * 1024, 'a')
  const stream = new Readable({
    read() {
      if (taken >= size) return void this.push(null)
      taken += piece.length
      this.push(piece)
    },
  })
  return { stream, taken: () => taken }
}

/** The number, once it is the same in two reads. */
async function atRest(count: () => number): Promise<number> {
  let before = -1
  await expect
    .poll(
      () => {
        const rests = count() > 0 && count() === before
        before = count()
        return rests
      },
      { interval: 100 },
    )
    .toBe(true)
  return before
}

describe('answers', () => {
  test('have their status and unchanged headers, but not the headers for the gate', async () => {
    const front = await startFront((_req, res) => {
      res.writeHead(201, 'Made', [
        'Set-Cookie',
        'a=1',
        'X-Spelled',
        '1',
        'set-cookie',
        'b=2',
        USER_HEADER,
        'u_ann s_1',
      ])
      res.end('{}')
    })
    const answer = await front.raw('GET / HTTP/1.1\r\nHost: fp\r\nConnection: close\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 201 Made\r\nSet-Cookie: a=1\r\nX-Spelled: 1\r\nset-cookie: b=2\r\n/)
    expect(answer).not.toMatch(/fp-user|u_ann/i)
    expect(front.users).toEqual(['u_ann s_1'])
  })

  test('to requests that were too many tell the gate of no session', async () => {
    const front = await startFront(
      (_req, res) => void res.writeHead(429, { [USER_HEADER]: 'u_ann s_1' }).end(),
    )
    expect((await ask(front)).headers).not.toHaveProperty(USER_HEADER)
    expect(front.users).toEqual([])
  })

  test.each([
    ['HEAD', 200, { 'content-length': '7' }],
    ['GET', 204, {}],
    ['GET', 304, { etag: '"a"' }],
  ])(
    'to %s with %i have no body, and the connection serves the next request',
    async (method, status, headers) => {
      const front = await startFront((_req, res) => void res.writeHead(status, headers).end())
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      onTestFinished(() => agent.destroy())
      for (let n = 0; n < 2; n++) {
        const answer = await ask(front, { method, agent })
        expect([answer.status, answer.text]).toEqual([status, ''])
        expect(answer.headers).toMatchObject(headers)
      }
    },
  )

  test('a client of HTTP/1.0 gets an answer of unknown length until the connection ends', async () => {
    const front = await startFront((_req, res) => {
      res.write('one ')
      res.end('two')
    })
    const answer = await front.raw('GET / HTTP/1.0\r\nHost: fp\r\nConnection: keep-alive\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toMatch(/\r\n\r\none two$/)
    expect(answer).not.toMatch(/transfer-encoding/i)
  })

  test('arrive piece by piece: the client has one before the next is written', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    const { sent, answer } = open(front)
    sent.end()
    const { res } = await api.next()
    res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    const pieces = (await answer)[Symbol.asyncIterator]()
    for (const piece of ['data: 1\n\n', ': still there\n\n', 'data: 2\n\n']) {
      res.write(piece)
      expect(String((await pieces.next()).value)).toBe(piece)
    }
    res.end()
    expect(await pieces.next()).toMatchObject({ done: true })
  })

  test('of many MB wait for a client that does not read, and arrive completely', async () => {
    const { stream, taken } = source(64 * MB)
    const front = await startFront((_req, res) => void stream.pipe(res))
    const { sent, answer } = open(front)
    sent.end()
    const response = await answer
    expect(await atRest(taken)).toBeLessThan(HELD)
    expect((await buffer(response)).length).toBe(64 * MB)
  })

  test('that the API breaks off also break off at the client', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    const { sent, answer } = open(front)
    sent.end()
    const { res } = await api.next()
    res.write('half')
    const response = await answer
    const pieces = response[Symbol.asyncIterator]()
    expect(String((await pieces.next()).value)).toBe('half')
    res.destroy()
    await expect(pieces.next()).rejects.toThrow('aborted')
  })
})

describe('bodies', () => {
  test('of many MB arrive completely, in chunks or with a length, and wait for an API that does not read', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    for (const headers of [{}, { 'content-length': 64 * MB }]) {
      const { stream, taken } = source(64 * MB)
      const { sent, answer } = open(front, { method: 'POST', headers })
      stream.pipe(sent)
      const { req, res } = await api.next()
      expect(await atRest(taken)).toBeLessThan(HELD)
      expect((await buffer(req)).length).toBe(64 * MB)
      res.end()
      expect((await answer).statusCode).toBe(200)
    }
  })

  test('in chunks arrive, their trailers do not', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    const head =
      'POST / HTTP/1.1\r\nHost: fp\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n'
    const answer = front.raw(`${head}3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 6\r\n\r\n`)
    const { req, res } = await api.next()
    expect(await text(req)).toBe('onetwo')
    expect(req.trailers).toEqual({})
    res.end('ok')
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('are sent once the gate says `100 Continue`', async () => {
    const front = await startFront((req, res) => void text(req).then((body) => res.end(body)))
    const { sent, answer } = open(front, {
      method: 'POST',
      headers: { expect: '100-continue', 'content-length': 2 },
    })
    await once(sent, 'continue')
    sent.end('hi')
    expect(await text(await answer)).toBe('hi')
  })

  test('that the API refuses are not read: its answer always arrives, and the connection is closed', async () => {
    const api = Fastify({ bodyLimit: 1_000 })
    api.addHook('onSend', async (_request, reply) => void reply.removeHeader('connection'))
    api.post('/', async () => 'taken')
    await api.ready()
    const front = await startFront((req, res) => api.routing(req, res))
    const agent = new Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    for (let n = 0; n < 40; n++) {
      const headers = { 'content-type': 'application/json' }
      const refused = await ask(front, { method: 'POST', headers, agent, body: Buffer.alloc(2 * MB, 'a') })
      expect([refused.status, refused.headers.connection]).toEqual([413, 'close'])
      expect((await ask(front, { method: 'POST', headers, agent, body: '1' })).status).toBe(200)
    }
  })

  test('that arrive after the API’s answer block neither side', async () => {
    const front = await startFront((_req, res) => void res.writeHead(401).end('{}'))
    const { stream, taken } = source(512 * MB)
    const { sent, answer } = open(front, { method: 'POST' })
    stream.pipe(sent)
    const response = await answer
    expect([response.statusCode, await text(response)]).toEqual([401, '{}'])
    sent.destroy()
    expect(taken()).toBeLessThan(512 * MB)
    await expect.poll(front.connections).toBe(0)
  })
})

describe('clients that disconnect', () => {
  test.each([
    ['before the answer', (_res: ServerResponse) => undefined],
    ['amid the answer', (res: ServerResponse) => void res.write('half')],
  ])('%s end the request at the API', async (_when, begin) => {
    const api = byHand()
    const front = await startFront(api.listener)
    const { sent, answer } = open(front)
    sent.end()
    const { res } = await api.next()
    begin(res)
    if (res.headersSent) await answer
    const closed = once(res, 'close')
    sent.destroy()
    await closed
    expect(res.writableFinished).toBe(false)
  })

  test('during their body end the request at the API', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    const { sent } = open(front, { method: 'POST' })
    sent.write('half')
    const { req } = await api.next()
    const reading = text(req)
    sent.destroy()
    await expect(reading).rejects.toThrow('aborted')
  })
})

describe('an API that restarts', () => {
  test('gets all requests that arrived meanwhile, with their bodies', async () => {
    const front = await startFront(
      (req, res) => void text(req).then((body) => res.end(`${req.method} ${body}`)),
      {
        down: true,
      },
    )
    const waiting = Array.from({ length: 40 }, (_, n) =>
      n % 2 === 0 ? ask(front, { path: `/${n}` }) : ask(front, { method: 'POST', body: `body ${n}` }),
    )
    // The front door has accepted all of them.
    await expect.poll(front.requests).toBe(40)
    await front.api.start()
    const answers = await Promise.all(waiting)
    expect(answers.map(({ status, text }) => `${status} ${text}`)).toEqual(
      answers.map((_, n) => (n % 2 === 0 ? '200 GET ' : `200 POST body ${n}`)),
    )
  })

  test('gets a request again if its old connection broke before an answer and nothing can be lost', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    async function served(): Promise<void> {
      const answer = ask(front)
      ;(await api.next()).res.end()
      expect((await answer).status).toBe(200)
    }
    await served()
    const get = ask(front)
    ;(await api.next()).req.socket.destroy()
    // The new connection breaks too: the process that accepted it ends.
    ;(await api.next()).req.socket.destroy()
    ;(await api.next()).res.end('again')
    expect((await get).text).toBe('again')
    const post = ask(front, { method: 'POST', body: '{}' })
    ;(await api.next()).req.socket.destroy()
    expect(await post).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1', connection: 'close' },
      text: expect.stringContaining('FP_UNAVAILABLE'),
    })
    await served()
  })

  test('and does not come back leads to an error after the patience', async () => {
    const front = await startFront(() => undefined, { down: true, patience: 0 })
    for (const options of [{}, { method: 'POST', body: Buffer.alloc(4 * MB) }])
      expect(await ask(front, options)).toMatchObject({
        status: 503,
        headers: { 'retry-after': '1', connection: 'close' },
        text: expect.stringContaining('The API is restarting.'),
      })
  })

  test('that is killed during an answer breaks it off, and serves the next request', async () => {
    const api = byHand()
    const front = await startFront(api.listener)
    const { sent, answer } = open(front)
    sent.end()
    const { res } = await api.next()
    res.write('half')
    const body = text(await answer)
    await front.api.kill()
    await expect(body).rejects.toThrow('aborted')
    const next = ask(front)
    await front.api.start()
    ;(await api.next()).res.end('back')
    expect((await next).text).toBe('back')
  })
})
