import { PassThrough, Readable } from 'node:stream'

export interface PassOnOptions {
  /** Converts the source's error for the reader. Also called without one at the source's end; undefined: it has not failed. */
  failure(error?: Error): Error | undefined
  /** The source has ended or failed, or the reader has stopped reading. Called once or more. */
  done?(): void
}

/**
 * Passes a stream on. If the source fails, the reader first gets all data from before and then the error; Node's own streams
 * discard their buffered data. Destroying the returned stream destroys the source.
 */
export function passOn(source: Readable, { failure, done }: PassOnOptions): Readable {
  const held = new PassThrough()
  let failed: Error | undefined
  source.on('error', (error) => {
    failed = failure(error)
    held.end()
  })
  source.once('end', () => {
    failed = failure()
    held.end()
  })
  source.once('close', () => done?.())
  source.pipe(held, { end: false })

  async function* pieces(): AsyncGenerator<Buffer> {
    for await (const piece of held) yield piece as Buffer
    if (failed) throw failed
  }
  const passed = Readable.from(pieces())
  // Prevents an unhandled error event if the stream is destroyed without being read.
  passed.on('error', () => undefined)
  passed.once('close', () => {
    source.destroy()
    held.destroy()
    done?.()
  })
  return passed
}
