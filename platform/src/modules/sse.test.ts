import { expect, test } from 'vitest'
import { eventStream } from './sse.ts'

test('a quiet stream sends comments, and closing it aborts the signal', async () => {
  const aborted = Promise.withResolvers<void>()
  const stream = eventStream(
    async function* (signal) {
      yield { id: '1', event: 'a', data: { text: 'two\nlines' } }
      await new Promise<void>((resolve) =>
        signal.addEventListener('abort', () => {
          aborted.resolve()
          resolve()
        }),
      )
    },
    { heartbeat: 5 },
  )
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    if (text.includes(': still there')) break
  }
  expect(text).toMatch(/^id: 1\nevent: a\ndata: {"text":"two\\nlines"}\n\n: still there\n\n/)
  await aborted.promise
})

test('an error of the source destroys the stream', async () => {
  const stream = eventStream(async function* () {
    yield { id: '1', event: 'a', data: 1 }
    throw new Error('no more')
  })
  await expect(async () => {
    for await (const _ of stream);
  }).rejects.toThrow('no more')
})
