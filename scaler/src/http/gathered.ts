import { Readable } from 'node:stream'

/** Merges the chunks of a body that arrive in one turn of the event loop into one chunk, because each chunk costs a write. */
export function gathered(body: Readable): Readable {
  let chunks: Buffer[] = []
  const gone = (): void => void out.destroy(new Error('The client has gone away.'))
  const send = (): void => {
    const bytes = Buffer.concat(chunks)
    chunks = []
    if (!out.push(bytes)) body.pause()
  }
  const take = (chunk: Buffer): void => {
    if (chunks.push(chunk) === 1) setImmediate(send)
  }
  // Delayed so that the end comes after the last chunks.
  const end = (): void => void setImmediate(() => out.push(null))
  const out = new Readable({
    read: () => void body.resume(),
    destroy(error, done) {
      body.off('data', take).off('end', end).off('close', gone).pause()
      done(error)
    },
  })
  // The reader may already have stopped listening when an error occurs.
  out.on('error', () => undefined)
  body.once('end', () => body.off('close', gone))
  body
    .on('data', take)
    .once('end', end)
    .once('error', (error) => out.destroy(error))
    .once('close', gone)
  return out
}
