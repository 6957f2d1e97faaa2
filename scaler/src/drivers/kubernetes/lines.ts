/** Characters of a line that are kept. More than any object of the API server's has; a log may be without lines. */
const MAX_LINE = 4 * 1024 * 1024

/**
 * The lines of a stream of UTF-8, without their ends; the last one too if it has none. Rejects when the stream does. Of a line
 * that is longer than `maxLength` characters the rest is left out.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  { maxLength = MAX_LINE }: { maxLength?: number } = {},
): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let pieces: string[] = []
  let length = 0
  const keep = (piece: string): void => {
    if (piece && length < maxLength) pieces.push(piece.slice(0, maxLength - length))
    length += piece.length
  }
  const end = (): string => {
    const line = pieces.join('')
    pieces = []
    length = 0
    return line
  }
  for await (const chunk of chunks) {
    const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n')
    keep(first)
    for (const other of others) {
      yield end()
      keep(other)
    }
  }
  keep(decoder.decode())
  if (length > 0) yield end()
}
