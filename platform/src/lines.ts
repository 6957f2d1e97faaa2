import { StringDecoder } from 'node:string_decoder'
import type { Readable } from 'node:stream'

const NEWLINE = 0x0a

/**
 * Returns a function that takes the pieces of a stream in their order, and returns the lines that each one completes. A last
 * line that has no line break is dropped: its writer ended before it was complete. `node:readline` would return it, and would
 * also split at U+2028, which JSON does not escape.
 */
function lineSplitter(): (piece: Buffer) => string[] {
  const decoder = new StringDecoder('utf8')
  let begun = ''
  return (piece) => {
    const lines = (begun + decoder.write(piece)).split('\n')
    begun = lines.pop()!
    return lines
  }
}

/** The complete lines of a stream. */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const split = lineSplitter()
  for await (const piece of stream) yield* split(piece)
}

/**
 * Calls `onMessage` with the JSON object of each complete line, before the stream's owner can report its end. A line that is
 * no JSON object ends this: the stream is destroyed and `onInvalid` is called once. Errors of the stream are ignored: it
 * breaks when the process at its other end is killed, and its end is enough to know.
 */
export function readMessages<T extends object>(
  stream: Readable,
  { onMessage, onInvalid }: { onMessage: (message: T) => void; onInvalid: (error: Error) => void },
): void {
  const split = lineSplitter()
  stream.on('error', () => undefined)
  stream.on('data', (piece: Buffer) => {
    for (const line of split(piece)) {
      const message = objectOf(line)
      if (!message) {
        stream.destroy()
        // The text itself may contain secrets of an app.
        return onInvalid(new Error(`It sent a line of ${line.length} characters that is no JSON object.`))
      }
      onMessage(message as T)
    }
  })
}

function objectOf(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
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
