import { once } from 'node:events'
import { afterAll, expect, test, vi } from 'vitest'
import WebSocket, { WebSocketServer, type PerMessageDeflateOptions } from 'ws'
import { world, type World } from '../world.ts'

// Many MB, on machines that do other things as well.
vi.setConfig({ testTimeout: 30_000 })

/** What two ends may agree on: the variants of the Autobahn sections 12 and 13. */
const SERVERS: Readonly<Record<string, PerMessageDeflateOptions | false>> = {
  'as it comes': {},
  'no context of the server’s': { serverNoContextTakeover: true },
  'no context of the client’s': { clientNoContextTakeover: true },
  'a server’s window of 9': { serverMaxWindowBits: 9 },
  'a client’s window of 9': { clientMaxWindowBits: 9 },
  'none of it': false,
}
const CLIENTS: Readonly<Record<string, PerMessageDeflateOptions | false>> = {
  'as it comes': {},
  'no contexts': { serverNoContextTakeover: true, clientNoContextTakeover: true },
  'windows of 10': { serverMaxWindowBits: 10, clientMaxWindowBits: 10 },
  'none of it': false,
}
/** Per variant, as text and as binary. */
const SIZES = [0, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 131_072]
const REPEATS = 5

let compared = 0
afterAll(() => console.log(`${compared} compressed WebSocket cases the same through the proxy as without it`))

test.each(Object.entries(SERVERS))(
  'a server that offers %s agrees with each client as without the proxy',
  async (_name, offer) => {
    await using app = await start(offer)
    for (const [client, wish] of Object.entries(CLIENTS)) {
      const direct = await talk(`ws+unix:${app.appPath}:/`, wish)
      const proxied = await talk(`ws://127.0.0.1:${app.port}/`, wish)
      expect({ client, ...proxied }).toEqual({ client, ...direct })
      expect(direct.echoed).toHaveLength(2 * SIZES.length)
      expect(direct.agreed.includes('permessage-deflate')).toBe(offer !== false && wish !== false)
      compared += direct.echoed.length
    }
  },
)

async function start(deflate: PerMessageDeflateOptions | false): Promise<World> {
  const started = await world((_request, response) => response.end())
  const perMessageDeflate = deflate && { ...deflate, threshold: 0 }
  new WebSocketServer({ server: started.app, perMessageDeflate }).on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  )
  return started
}

interface Talk {
  readonly agreed: string
  readonly echoed: string[]
  readonly code: number
}

/** Sends messages of every size, each several times, and reads their echoes. */
async function talk(url: string, wish: PerMessageDeflateOptions | false): Promise<Talk> {
  const client = new WebSocket(url, { perMessageDeflate: wish && { ...wish, threshold: 0 } })
  await once(client, 'open')
  const echoed: string[] = []
  for (const binary of [false, true]) {
    for (const size of SIZES) {
      const message = Buffer.from('{"n":0,"text":"compressible"} '.repeat(size / 30 + 1).slice(0, size))
      let right = 0
      for (let i = 0; i < REPEATS; i++) {
        client.send(message, { binary })
        const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean]
        if (isBinary === binary && data.equals(message)) right++
      }
      echoed.push(`${binary ? 'binary' : 'text'} ${size}: ${right} of ${REPEATS}`)
    }
  }
  client.close(1000)
  const [code] = (await once(client, 'close')) as [number]
  return { agreed: client.extensions, echoed, code }
}
