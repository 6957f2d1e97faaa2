import { expect, test } from 'vitest'
import { createEventParser, readEvents } from './sse.ts'

const STREAM =
  ': hello\r\nevent: creating\r\ndata: {"a":1}\r\nid: 7\r\n\r\ndata: one\ndata:two\n\nevent: none\n\n'

test('gives the same events wherever the stream is cut', () => {
  const whole = createEventParser().push(STREAM)
  expect(whole).toEqual([
    { event: 'creating', data: '{"a":1}', id: '7' },
    { event: 'message', data: 'one\ntwo', id: '7' },
  ])
  for (let cut = 1; cut < STREAM.length; cut++) {
    const parser = createEventParser()
    expect([...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))]).toEqual(whole)
  }
})

test('joins a character that two chunks share', async () => {
  const bytes = new TextEncoder().encode('data: é🌙\n\n')
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
      controller.close()
    },
  })
  const events = []
  for await (const event of readEvents(body)) events.push(event.data)
  expect(events).toEqual(['é🌙'])
})

test('cancels the body when the reader stops early', async () => {
  let cancelled = false
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\ndata: 2\n\n')),
    cancel: () => void (cancelled = true),
  })
  for await (const event of readEvents(body)) {
    expect(event.data).toBe('1')
    break
  }
  expect(cancelled).toBe(true)
})
