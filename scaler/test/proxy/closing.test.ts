import Fastify, { type FastifyInstance } from 'fastify'
import dns from 'node:dns'
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test, vi } from 'vitest'
import { FakeClock } from '../../src/drivers/fake/index.ts'
import { scalerProxy } from '../../src/http/index.ts'
import { status } from './message.ts'
import { upgradeRequest } from './websocket/frames.ts'
import { Wire } from './wire.ts'
import { rawWorld, until, type RawApp } from './world.ts'

type Told = (error: Error | null, addresses: readonly object[]) => void

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

const silent: RawApp = async (wire) => {
  await wire.message()
  await wire.rest()
  wire.close()
}
const tunnel: RawApp = async (wire) => {
  await wire.message()
  wire.send(SWITCH)
  await wire.rest()
  wire.close()
}

test('a connection on which no request has arrived does not keep the proxy open', async () => {
  await using world = await rawWorld(silent, { proxy: { clock: new FakeClock() } })
  const accepted = once(world.proxy.server, 'connection')
  const client = await world.client()
  await accepted
  await world.proxy.close()
  expect(await client.rest()).toBe('')
})

test('an open WebSocket is ended after `closeGrace`, its lease is released, and everything can be closed', async () => {
  const clock = new FakeClock()
  await using world = await rawWorld(tunnel, { proxy: { clock, closeGrace: 5_000 } })
  const client = await world.client()
  expect(status(await client.send(upgradeRequest()).message())).toBe(101)
  let closed = false
  const closing = world.proxy.close().then(() => (closed = true))
  await until(() => clock.pending > 0)
  await clock.advance(4_999)
  expect([closed, world.activator.stats('app')?.inFlight]).toEqual([false, 1])
  await clock.advance(1)
  await closing
  await client.rest()
  await world.activator.close()
})

test('a request that is not answered is broken off after `closeGrace`', async () => {
  const clock = new FakeClock()
  await using world = await rawWorld(silent, { proxy: { clock, closeGrace: 5_000 } })
  const client = await world.client()
  client.send(GET)
  await until(() => world.activator.stats('app')?.inFlight === 1)
  const closing = world.proxy.close()
  await until(() => clock.pending > 0)
  await clock.advance(5_000)
  await closing
  expect(await client.rest()).toBe('')
})

test('a request that is answered in time gets its response whole, and its connection is closed', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  await using world = await rawWorld(
    async (wire) => {
      await wire.message()
      await promise
      wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    },
    { proxy: { clock: new FakeClock() } },
  )
  const client = await world.client()
  client.send(GET)
  await until(() => world.activator.stats('app')?.inFlight === 1)
  const closing = world.proxy.close()
  await until(() => !world.proxy.server.listening)
  resolve()
  expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close[^]*ok$/i)
  await closing
})

test('the servers for the other addresses of localhost are closed too', async () => {
  // Fastify listens on each of them.
  const { lookup } = dns
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(((name: string, options: object, told: never) => {
    if (name !== 'localhost' || !('all' in options)) return lookup(name, options, told)
    ;(told as Told)(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ])
  }) as typeof dns.lookup)
  await using world = await rawWorld(tunnel)
  const fastify = Fastify() as FastifyInstance
  const clock = new FakeClock()
  await fastify.register(scalerProxy, { activator: world.activator, clock, resolve: () => 'app' })
  const { port } = new URL(await fastify.listen({ port: 0 }))
  spy.mockRestore()
  const [quiet, open] = [connect(Number(port), '127.0.0.2'), connect(Number(port), '127.0.0.2')].map(
    (socket) => new Wire(socket),
  )
  expect(status(await open!.send(upgradeRequest()).message())).toBe(101)
  const closing = fastify.close()
  expect(await quiet!.rest()).toBe('')
  await clock.advance(10_000)
  await open!.rest()
  await closing
})

test('`inject` needs no server, and the instance closes after it', async () => {
  await using world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  expect((await world.proxy.inject({ url: '/' })).body).toBe('ok')
  await world.proxy.close()
})
