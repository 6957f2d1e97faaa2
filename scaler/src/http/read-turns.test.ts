import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { settle } from '../drivers/fake/index.ts'
import { ReadTurns } from './read-turns.ts'

/** The parsed pieces, one letter each. Each takes 2 ms. */
let parsed = ''
let now = 0

/** A connection that delivers this many pieces. */
function connection(turns: ReadTurns, endpoint: string, pieces: number): Socket {
  const socket = new EventEmitter() as unknown as Socket
  return socket.on('readable', () => {
    while (pieces > 0 && turns.take(socket, endpoint)) {
      parsed += endpoint
      now += 2
      pieces--
    }
  })
}

test('pieces that do not fit into one turn of the event loop wait for the next, and endpoints take turns', async () => {
  parsed = ''
  const turns = new ReadTurns(() => now)
  const several = [connection(turns, 'a', 3), connection(turns, 'a', 1), connection(turns, 'a', 1)]
  for (const socket of several) socket.emit('readable')
  connection(turns, 'b', 2).emit('readable')
  expect(parsed).toBe('aa')
  await new Promise((done) => setImmediate(done))
  expect(parsed).toBe('aaab')
  while (parsed.length < 7) await settle()
  expect(parsed).toBe('aaababa')
})
