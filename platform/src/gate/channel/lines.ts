import { StringDecoder } from 'node:string_decoder'
import type { Readable } from 'node:stream'

const NEWLINE = 0x0a

/** The lines of a stream. `node:readline` would also split at U+2028, which JSON does not escape. */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let begun = ''
  for await (const chunk of stream) {
    const lines = (begun + decoder.write(chunk)).split('\n')
    begun = lines.pop()!
    yield* lines
  }
}

/** Takes the first line from a stream and leaves the rest in it. Rejects when the stream ends before. */
export async function firstLine(stream: Readable): Promise<string> {
  const pieces: Buffer[] = []
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    const end = chunk.indexOf(NEWLINE)
    pieces.push(end < 0 ? chunk : chunk.subarray(0, end))
    if (end < 0) continue
    if (end + 1 < chunk.length) stream.unshift(chunk.subarray(end + 1))
    return Buffer.concat(pieces).toString()
  }
  throw new Error('The stream ended before its first line.')
}
