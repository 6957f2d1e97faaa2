import fc from 'fast-check'
import { expect, test } from 'vitest'
import { status } from './message.ts'
import type { Wire } from './wire.ts'
import { rawWorld, type World } from './world.ts'

/** A request and the answer that the app gives it, each with a body cut into chunks, or of known length. */
interface Exchange {
  readonly method: string
  readonly request: Body
  readonly answer: Body
  readonly status: number
}
interface Body {
  readonly chunks: readonly string[]
  readonly chunked: boolean
}

/** What the client writes at once, in bytes: cuts fall anywhere, also in a line's end. */
const MAX_WRITE = 700

const body = fc.record({
  chunks: fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 3_000 }), { maxLength: 5 }),
  chunked: fc.boolean(),
})
const exchange: fc.Arbitrary<Exchange> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
  request: body,
  answer: body,
  status: fc.constantFrom(200, 201, 404, 500, 503),
})

test('whatever is said, in whatever pieces, arrives as it was said, each answer at its own client', async () => {
  const script: Exchange[] = []
  await using world = await rawWorld(async (wire) => {
    for (;;) {
      const request = await wire.message()
      const [, number] = /\/(\d+) /.exec(request.start)!
      const said = script[Number(number)]!
      if (request.body !== said.request.chunks.join(''))
        throw new Error(`Request ${number} came as something else.`)
      wire.send(`HTTP/1.1 ${said.status} Said\r\nX-Number: ${number}\r\n${wireForm(said.answer)}`)
    }
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(exchange, { maxLength: 4 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: MAX_WRITE }), { minLength: 1, maxLength: 20 }),
      async (clients, cuts) => {
        await Promise.all(clients.map((exchanges) => talk(world, script, exchanges, cuts)))
        await world.idle()
      },
    ),
    { numRuns: 60 },
  )
})

/** One client: says everything on one connection, and reads the answers as they come. */
async function talk(world: World, script: Exchange[], exchanges: Exchange[], cuts: number[]): Promise<void> {
  const numbers = exchanges.map((said) => script.push(said) - 1)
  const client = await world.client()
  const bytes = exchanges
    .map((said, i) => `${said.method} /${numbers[i]} HTTP/1.1\r\nHost: a\r\n${wireForm(said.request)}`)
    .join('')
  const written = write(client, bytes, cuts)
  for (const [i, said] of exchanges.entries()) {
    const answer = await client.message()
    expect(answer.headers.find(([name]) => name.toLowerCase() === 'x-number')?.[1]).toBe(String(numbers[i]))
    expect([status(answer), answer.body]).toEqual([said.status, said.answer.chunks.join('')])
  }
  await written
  client.close()
}

async function write(client: Wire, bytes: string, cuts: number[]): Promise<void> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = cuts[i % cuts.length]!
    await client.flush(bytes.slice(at, at + size))
    at += size
  }
}

function wireForm({ chunks, chunked }: Body): string {
  const whole = chunks.join('')
  if (!chunked) return `Content-Length: ${whole.length}\r\n\r\n${whole}`
  const parts = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
  return `Transfer-Encoding: chunked\r\n\r\n${parts.join('')}0\r\n\r\n`
}
