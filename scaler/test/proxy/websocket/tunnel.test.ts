import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { DEFAULT_POLICY } from '../../../src/activator.ts'
import { settle } from '../../../src/drivers/fake/index.ts'
import { status } from '../message.ts'
import type { Wire } from '../wire.ts'
import { rawWorld, until, type World, type WorldOptions } from '../world.ts'
import { upgradeRequest } from './frames.ts'

// Many MB, on machines that do other things as well.
vi.setConfig({ testTimeout: 30_000 })

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const DAY = 24 * 60 * 60_000

interface Tunnel extends AsyncDisposable {
  readonly world: World
  readonly client: Wire
  readonly app: Wire
  /** The proxy's own end of the client's connection. */
  readonly socket: Socket
}

/** The two ends of an open tunnel. */
async function open(options: WorldOptions = {}): Promise<Tunnel> {
  let app: Wire | undefined
  const world = await rawWorld(async (wire) => {
    await wire.message()
    wire.send(SWITCH)
    app = wire
  }, options)
  const accepted = once(world.proxy.server, 'connection') as Promise<[Socket]>
  const client = await world.client()
  await client.send(upgradeRequest()).message()
  const [socket] = await accepted
  return { world, client, app: app!, socket, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

describe('a tunnel', () => {
  test('passes bytes both ways as they come', async () => {
    await using tunnel = await open()
    const { client, app } = tunnel
    for (const [from, to] of [
      [client, app],
      [app, client],
      [client, app],
    ] as const) {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      from.send(bytes)
      expect(await to.take(256)).toEqual(bytes)
    }
  })

  test('is not idle: its target is not put to sleep under it', async () => {
    await using tunnel = await open()
    const { world, client, app } = tunnel
    await world.clock.advance(DAY)
    expect(await world.activator.sleep('app')).toBe(false)
    expect([world.driver.calls, world.activator.stats('app')?.inFlight]).toEqual([[], 1])
    client.close()
    app.close()
    await world.idle()
    await world.clock.advance(DEFAULT_POLICY.idleTimeout)
    expect(world.driver.calls).toEqual([{ key: 'app', replicas: 0 }])
  })

  test('whose client ends its side still brings it what the app has to say', async () => {
    await using tunnel = await open()
    const { world, client, app } = tunnel
    client.send('bye').socket.end()
    expect(await app.rest()).toBe('bye')
    expect(app.finished).toBe(true)
    app.send('and farewell').socket.end()
    expect(await client.rest()).toBe('and farewell')
    expect(client.finished).toBe(true)
    await world.idle()
  })

  test('whose app ends its side still brings it what the client has to say', async () => {
    await using tunnel = await open()
    const { world, client, app } = tunnel
    app.send('bye').socket.end()
    expect(await client.rest()).toBe('bye')
    expect(client.finished).toBe(true)
    client.send('and farewell').socket.end()
    expect(await app.rest()).toBe('and farewell')
    expect(app.finished).toBe(true)
    await world.idle()
  })

  test.each([
    ['closes', (client: Wire) => client.close()],
    ['is reset', (client: Wire) => client.reset()],
  ])('whose client %s ends at the app', async (_name, leave) => {
    await using tunnel = await open({ tcp: true })
    const { world, client, app } = tunnel
    leave(client)
    await app.rest()
    app.close()
    await world.idle()
  })

  test.each([
    ['closes', (app: Wire) => app.close()],
    ['is reset', (app: Wire) => app.reset()],
  ])('whose app %s ends at the client', async (_name, leave) => {
    await using tunnel = await open({ tcp: true })
    const { world, client, app } = tunnel
    leave(app)
    await client.rest()
    client.close()
    await world.idle()
  })

  test.each(['client', 'app'] as const)(
    'whose %s vanishes gives its lease back though the other end stays',
    async (end) => {
      await using tunnel = await open({ tcp: true })
      tunnel[end].reset()
      await tunnel.world.idle()
    },
  )

  test('that the embedder cuts ends at both ends', async () => {
    await using tunnel = await open()
    tunnel.socket.destroy()
    await Promise.all([tunnel.client.rest(), tunnel.app.rest()])
    await tunnel.world.idle()
  })

  test('delivers all that was sent before its end', async () => {
    await using tunnel = await open()
    const { client, app } = tunnel
    const large = Buffer.alloc(8 * 1024 * 1024, 'x')
    app.socket.end(large)
    expect((await client.rest()).length).toBe(large.length)
  })

  test.each(['client', 'app'] as const)(
    'whose %s does not read stops the other from writing',
    async (reader) => {
      await using tunnel = await open()
      const writer = tunnel[reader === 'client' ? 'app' : 'client']
      tunnel[reader].socket.pause()
      const part = Buffer.alloc(64 * 1024, 'x')
      let written = 0
      let still = 0
      const parts = 1_024
      const poured = (async () => {
        for (; written < parts; written++) if (!writer.socket.write(part)) await once(writer.socket, 'drain')
      })()
      for (let last = -1; still < 100; last = written) {
        await settle()
        still = written === last ? still + 1 : 0
      }
      expect(written).toBeLessThan(parts / 2)
      tunnel[reader].socket.resume()
      await poured
      await tunnel[reader].take(parts * part.length)
    },
  )
})

describe('a client that leaves', () => {
  test('while its upgrade waits for a wake leaves the queue, and is never connected', async () => {
    await using world = await rawWorld(
      async (wire) => {
        await wire.message()
        wire.send(SWITCH)
      },
      { asleep: true },
    )
    const client = await world.client()
    client.send(upgradeRequest())
    await world.waking()
    client.close()
    await until(() => world.activator.stats('app')?.queued === 0)
    world.wake()
    const next = await world.client()
    expect(status(await next.send(upgradeRequest()).message())).toBe(101)
    expect(world.connections).toHaveLength(1)
  })

  test('by ending its side while its upgrade waits for a wake leaves the queue as well', async () => {
    await using world = await rawWorld(() => Promise.resolve(), { asleep: true })
    const client = await world.client()
    client.send(upgradeRequest())
    await world.waking()
    client.socket.end()
    await until(() => world.activator.stats('app')?.queued === 0)
  })

  test('before the app has answered its upgrade ends it at the app', async () => {
    let begun = false
    let ended = false
    await using world = await rawWorld(async (wire) => {
      await wire.message()
      begun = true
      await wire.rest()
      ended = true
    })
    const client = await world.client()
    client.send(upgradeRequest())
    await until(() => begun)
    client.close()
    await until(() => ended)
    await world.idle()
  })
})

test('hundreds of tunnels come and go and leave nothing behind', async () => {
  await using world = await rawWorld(
    async (wire) => {
      await wire.message()
      wire.send(SWITCH)
      if ((await wire.take(1)).toString() === 'x') wire.close()
    },
    { tcp: true },
  )
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  for (let round = 0; round < 30; round++) {
    const clients = await Promise.all(Array.from({ length: 10 }, () => world.client()))
    await Promise.all(clients.map((client) => client.send(upgradeRequest()).message()))
    expect(world.activator.stats('app')?.inFlight).toBe(10)
    clients.forEach((client, i) => {
      if (i % 4 === 0) client.send('x')
      else if (i % 4 === 1) client.close()
      else if (i % 4 === 2) client.reset()
    })
    for (const socket of world.connections) socket.end()
    for (const client of clients) client.socket.end()
    await world.idle()
  }
  process.off('warning', onWarning)
  expect(world.connections).toHaveLength(300)
  await until(() => world.connections.every((socket) => socket.destroyed))
  await until(() => world.proxy.server.listenerCount('upgrade') === 1)
  expect(warnings).toEqual([])
})
