import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { readMessages } from './lines.ts'

/** What is read from a stream with these pieces: messages, and `invalid` for an invalid line. */
async function read(...pieces: (string | Buffer)[]): Promise<unknown[]> {
  const stream = new PassThrough()
  const heard: unknown[] = []
  readMessages(stream, {
    onMessage: (message) => heard.push(message),
    onInvalid: ({ message }) => heard.push(`invalid: ${message}`),
  })
  for (const piece of pieces) stream.write(piece)
  stream.end()
  await finished(stream).catch(() => undefined)
  return heard
}

test('messages are complete lines, wherever the stream is split', async () => {
  const bytes = Buffer.from('{"text":"é\u2028"}\n{"text":"two"}\n')
  for (let cut = 0; cut <= bytes.length; cut++) {
    const heard = await read(bytes.subarray(0, cut), bytes.subarray(cut))
    expect(heard).toEqual([{ text: 'é\u2028' }, { text: 'two' }])
  }
})

test('an unfinished last line is dropped', async () => {
  expect(await read('{"a":1}\n{"a":')).toEqual([{ a: 1 }])
  expect(await read('{"a":1}\n{"a":2}')).toEqual([{ a: 1 }])
})

test.each(['nonsense with a secret', 'null', '5', ''])(
  'no message is read after the line %j',
  async (line) => {
    expect(await read(`{"a":1}\n${line}\n{"a":2}\n`, '{"a":3}\n')).toEqual([
      { a: 1 },
      `invalid: It sent a line of ${line.length} characters that is no JSON object.`,
    ])
  },
)

test('an error of the stream is ignored', async () => {
  const stream = new PassThrough()
  readMessages(stream, { onMessage: () => undefined, onInvalid: () => undefined })
  stream.destroy(new Error('ECONNRESET'))
  await expect(finished(stream)).rejects.toThrow('ECONNRESET')
})
