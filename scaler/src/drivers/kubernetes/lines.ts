/** The lines of a stream of UTF-8, without their ends; the last one too if it has none. Rejects when the stream does. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = parts.pop()!
    yield* parts
  }
  rest += decoder.decode()
  if (rest) yield rest
}
