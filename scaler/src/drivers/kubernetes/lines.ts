/** The maximum length of a line in characters. No object of the API server is longer, but a log may have no line breaks. */
const MAX_LINE = 4 * 1024 * 1024

/**
 * The lines of a UTF-8 stream without their line breaks, including a last line that has none. Lines are cut off after `maxLength`
 * characters. Throws when the stream fails.
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
