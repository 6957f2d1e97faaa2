import { Readable } from 'node:stream'

/** A body in chunks, of which those that come in one turn of the event loop are one: each costs a write. */
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
  // After the last chunks.
  const end = (): void => void setImmediate(() => out.push(null))
  const out = new Readable({
    read: () => void body.resume(),
    destroy(error, done) {
      body.off('data', take).off('end', end).off('close', gone).pause()
      done(error)
    },
  })
  // Whoever reads it may have ended before.
  out.on('error', () => undefined)
  body.once('end', () => body.off('close', gone))
  body
    .on('data', take)
    .once('end', end)
    .once('error', (error) => out.destroy(error))
    .once('close', gone)
  return out
}
