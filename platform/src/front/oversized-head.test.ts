import { once } from 'node:events'
import { connect } from 'node:net'
import Fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expireCookies } from './cookie-bomb.ts'
import { CookieNames } from './cookie-names.ts'
import { behindFront, createFront, type Front } from './front.ts'
import { UNBOUNDED } from '../../test/unbounded.ts'

let front: Front
let port: number
beforeAll(async () => {
  const services = {
    api: Fastify({ serverFactory: behindFront }),
    ingress: Fastify({ serverFactory: behindFront }),
  }
  services.api.get('/', async () => 'console')
  await Promise.all([services.api.ready(), services.ingress.ready()])
  const cookies = { domains: ['fp.example.org', 'example.org'], session: 'fp_session' }
  front = createFront({
    ...services,
    cookies,
    bounds: UNBOUNDED,
    appOf: (host) => (host?.startsWith('app-') ? host : undefined),
  })
  port = await front.listen({ port: 0, hosts: ['127.0.0.1'] })
})
afterAll(() => front.close({ grace: 0 }))

/** A cookie jar like a browser's. All cookies are set for one domain and path. */
class Jar {
  readonly kept = new Map<string, string>()

  async get(lines = 'Accept: text/html\r\n'): Promise<{ status: number; head: string; body: string }> {
    const cookies = [...this.kept].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await send(`GET / HTTP/1.1\r\nHost: fp.example.org\r\n${lines}Cookie: ${cookies}\r\n\r\n`)
    for (const [, name] of answer.head.matchAll(
      /^set-cookie: ([^=]+)=; Max-Age=0; Path=\/; Domain=example\.org$/gim,
    ))
      this.kept.delete(name!)
    return answer
  }
}

/** Sends as fast as possible, and reads until the connection is closed without an error. */
async function send(bytes: string): Promise<{ status: number; head: string; body: string }> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  let text = ''
  socket.on('data', (data) => (text += String(data)))
  socket.end(bytes)
  await once(socket, 'close')
  const [head = '', body = ''] = text.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body }
}

describe('a browser whose cookies are larger than a head may be', () => {
  it.each([
    ['many that are large', 170, 4000],
    ['very many that are small', 2500, 40],
    ['just too many', 17, 4000],
    ['many, of which the last is read in pieces', 32, 4080],
    ['as many as the parser just takes', 34, 4000],
    ['some more than the parser takes', 36, 4000],
  ])('(%s) gets to the console after a few answers that delete them', async (_name, count, size) => {
    const jar = new Jar()
    for (let n = 0; n < count; n++) jar.kept.set(`bomb${n}`, 'x'.repeat(size))
    const first = await jar.get()
    expect(first.status).toBe(431)
    expect(first.head).toMatch(/content-type: text\/html/)
    expect(first.body).toContain('http-equiv="refresh"')
    let rounds = 1
    while ((await jar.get('Connection: close\r\n')).status === 431) expect(++rounds).toBeLessThan(60)
    expect(jar.kept.size).toBeGreaterThan(0)
  })

  it('loses those that were set for the path of an API request, and gets the reason in JSON', async () => {
    const bomb = Array.from({ length: 20 }, (_, n) => `bomb${n}=${'x'.repeat(4000)}`).join('; ')
    const lines = `Host: fp.example.org\r\nCookie: little=1; ${bomb}; fp_session=mine\r\n`
    const { status, head, body } = await send(`POST /api/apps/a1/deploy?x HTTP/1.1\r\n${lines}\r\n`)
    expect(status).toBe(431)
    expect(JSON.parse(body)).toMatchObject({ code: 'FP_HEADERS_TOO_LARGE' })
    for (const path of ['/', '/api', '/api/', '/api/apps/a1', '/api/apps/a1/deploy'])
      expect(head).toContain(`set-cookie: bomb3=; Max-Age=0; Path=${path}; Domain=example.org\r\n`)
    expect(head).not.toMatch(/little|fp_session/)
  })

  it('keeps the cookies of an app’s own host', async () => {
    const bomb = Array.from({ length: 20 }, (_, n) => `bomb${n}=${'x'.repeat(4000)}`).join('; ')
    const { head } = await send(`GET / HTTP/1.1\r\nHost: app-a.example.org\r\nCookie: ${bomb}\r\n\r\n`)
    expect(head).toMatch(/set-cookie: bomb3=; Max-Age=0; Path=\/; Domain=example\.org/)
    expect(head).not.toMatch(/set-cookie: bomb3=; Max-Age=0; Path=\/\r\n/)
  })

  it('keeps its session, and loses one that was set for a whole domain', async () => {
    const jar = new Jar()
    for (let n = 0; n < 40; n++) jar.kept.set(`bomb${n}`, 'x'.repeat(4000))
    jar.kept.set('fp_session', 'x')
    const { head } = await jar.get()
    const lines = head.split('\r\n').filter((line) => line.startsWith('set-cookie: fp_session='))
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) expect(line).toMatch(/; Domain=/)
    expect(head).toContain('set-cookie: bomb39=; Max-Age=0; Path=/\r\n')
  })
})

it('a head that is too large for other reasons gets the error in JSON, and deletes no cookies', async () => {
  const large = `x-large: ${'; a=b'.repeat(20_000)}\r\n`
  const { status, head, body } = await send(`GET / HTTP/1.1\r\nHost: x\r\n${large}x: y\r\n\r\n`)
  expect(status).toBe(431)
  expect(JSON.parse(body)).toMatchObject({ code: 'FP_HEADERS_TOO_LARGE' })
  expect(head).not.toMatch(/set-cookie/)
})

it('a head without an end is refused', async () => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  const piece = Buffer.alloc(64 * 1024, 'x')
  const more = (): void => {
    while (!socket.destroyed && socket.write(piece));
  }
  socket.on('drain', more)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nx: ')
  more()
  await once(socket.resume(), 'close').catch(() => undefined)
  expect(socket.destroyed).toBe(true)
})

it('no more cookies are examined than one answer can delete', () => {
  function* endless(): Generator<string> {
    for (let n = 0; ; n++) yield `bomb${n}`
  }
  const cookies = { domains: ['example.org'], session: 'fp_session' }
  expect(expireCookies(endless(), ['/'], cookies).length).toBeLessThan(2_000)
})

describe('the names of cookies', () => {
  it('are limited in number', () => {
    const found = new CookieNames(2)
    found.add(Buffer.from('Cookie: a=1; b=2; c=3'))
    found.add(Buffer.from('; d=4'))
    expect([...found.names]).toEqual(['a', 'b'])
  })

  const HEAD = 'Accept: */*; q=0.8\r\nCookie: a=1; b-c=x=y; long=zz; __Host-d=\r\nX-Other: e; f=1\r\n\r\n'
  it('are found wherever the head is cut', () => {
    for (let cut = 0; cut <= HEAD.length; cut++) {
      const found = new CookieNames(10)
      for (const piece of ['Host: x\r\n', HEAD.slice(0, cut), HEAD.slice(cut)]) found.add(Buffer.from(piece))
      expect([...found.names], `cut at ${cut}`).toEqual(['a', 'b-c', 'long', '__Host-d'])
    }
  })

  it('are found in a piece that begins within a value', () => {
    const found = new CookieNames(10)
    found.add(Buffer.from('xxxx=; a=1; b=2'))
    expect([...found.names]).toEqual(['a', 'b'])
  })
})
