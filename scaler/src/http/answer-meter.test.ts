import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { AnswerMeter, MAX_HEAD_LINES } from './answer-meter.ts'

test('the lines of a piece are counted once, however often the connection waits for its turn', () => {
  const socket = { bytesRead: 0, readableLength: 0 }
  const meter = new AnswerMeter(socket as Socket)
  const piece = Buffer.from('a: b\r\n'.repeat(MAX_HEAD_LINES / 2))
  const take = (): void => {
    socket.bytesRead += piece.length
    meter.given(piece)
  }
  expect(meter.flaw()).toBeUndefined()
  take()
  for (let n = 0; n < 5; n++) expect(meter.flaw()).toBeUndefined()
  take()
  expect(meter.flaw()).toBeUndefined()
  take()
  expect(meter.flaw()).toMatchObject({ code: 'UND_ERR_HEADERS_OVERFLOW' })
})
