import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { Chunks } from './chunks.ts'

const HEAD = 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n'

let server: Server
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** A server that answers with the length of a body. `seen` is called with each chunk that Node emits. */
async function start(seen: (request: IncomingMessage) => void = () => undefined): Promise<() => Socket> {
  const chunks = new Chunks()
  server = createServer((request, response) => {
    const push = request.push.bind(request)
    request.push = (chunk: Buffer | null) => {
      seen(request)
      return push(chunk)
    }
    chunks.watch(request)
    let length = 0
    request.on('data', ({ length: more }: Buffer) => (length += more)).on('error', () => undefined)
    request.on('end', () => response.end(String(length)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return () => connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
}

async function answer(socket: Socket): Promise<string> {
  const [data] = (await once(socket, 'data')) as [Buffer]
  return String(data).split('\r\n\r\n')[1]!
}

it('closes the connection at thousands of tiny chunks at once, and emits none of the remaining ones', async () => {
  let seen = 0
  const client = await start(() => seen++)
  const socket = client()
  socket.write(HEAD + '1\r\nx\r\n'.repeat(10_000))
  await once(socket, 'close')
  expect(seen).toBeLessThan(1_001)
  // The parser of that connection serves the next one.
  const next = client()
  next.write(`${HEAD}5\r\nhello\r\n0\r\n\r\n`)
  expect(await answer(next)).toBe('5')
})

it('accepts any number of small chunks that arrive one by one', async () => {
  const socket = (await start())()
  socket.write(HEAD)
  for (let n = 0; n < 1_500; n++) {
    socket.write('1\r\nx\r\n')
    await new Promise((turn) => setImmediate(turn))
  }
  socket.write('0\r\n\r\n')
  expect(await answer(socket)).toBe('1500')
})

it('makes bodies of many chunks wait, reads one per turn of the event loop, and reads all of them', async () => {
  const turns: number[] = []
  let inTurn = 0
  const client = await start(() => {
    if (inTurn++ > 0) return
    setImmediate(() => {
      turns.push(inTurn)
      inTurn = 0
    })
  })
  const body = `14\r\n${'x'.repeat(20)}\r\n`.repeat(30_000)
  const sockets = Array.from({ length: 4 }, client)
  for (const socket of sockets) socket.write(`${HEAD}${body}0\r\n\r\n`)
  expect(await Promise.all(sockets.map(answer))).toEqual(Array(4).fill('600000'))
  // What is read at once, 64 KB, holds 2,500 of them; each of the four may begin in the same turn.
  expect(Math.max(...turns)).toBeLessThan(4 * 2_600)
  expect(turns.filter((chunks) => chunks > 2 * 2_600).length).toBeLessThan(4)
})
