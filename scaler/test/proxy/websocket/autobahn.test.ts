import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { world, type World } from '../world.ts'
import { run, type Case, type Outcome } from './case.ts'
import * as framing from './cases-framing.ts'
import { LARGE } from './cases-large.ts'
import { UTF8 } from './cases-text.ts'

/** The sections of the Autobahn test suite; what it does with extensions (12, 13) is in deflate.test.ts. */
const SECTIONS: readonly [string, readonly Case[]][] = [
  ['1 framing', framing.FRAMING],
  ['2 pings and pongs', framing.PINGS],
  ['3 reserved bits', framing.RESERVED_BITS],
  ['4 reserved opcodes', framing.RESERVED_OPCODES],
  ['5 fragments', framing.FRAGMENTS],
  ['6 UTF-8', UTF8],
  ['7 closing', framing.CLOSES],
  ['9 limits', LARGE],
  ['10 many fragments', framing.AUTO_FRAGMENTS],
]

/** ms for one section: some move hundreds of MB, on machines that do other things as well. */
const SECTION_TIME = 60_000

let echo: World
let compared = 0

beforeAll(async () => {
  const started = await world((_request, response) => response.end())
  new WebSocketServer({ server: started.app }).on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }))
    socket.on('error', () => undefined)
  })
  echo = started
})
afterAll(async () => {
  console.log(`${compared} WebSocket cases the same through the proxy as without it`)
  await echo[Symbol.asyncDispose]()
})

const title = 'section %s: a client sees through the proxy what it sees without it'
test.each(SECTIONS)(title, { timeout: SECTION_TIME }, async (_name, cases) => {
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length)
  for (const each of cases) {
    const direct = await run(each, echo.appPath)
    // What the case is about has happened at all.
    expect({ id: each.id, ...brief(direct) }).toEqual({ id: each.id, answers: each.answers, code: each.code })
    expect({ id: each.id, ...(await run(each, echo.port)) }).toEqual({ id: each.id, ...direct })
    compared++
  }
  await echo.idle()
})

function brief({ frames, code }: Outcome): { answers: number; code: number | undefined } {
  return { answers: frames.length, code }
}
