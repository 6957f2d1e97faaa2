import { PassThrough, Readable } from 'node:stream'

export interface PassOnOptions {
  /** How the source has failed, for whoever reads. Asked at its end too: undefined where it has not. */
  failure(error?: Error): Error | undefined
  /** The source has ended, failed, or is not wanted any more. Called once or more. */
  done?(): void
}

/**
 * Passes a stream on. Where it fails, what came before is read first, and then the failure; Node's own streams throw away what
 * they hold. Destroying what is returned destroys the source.
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
  // Whoever drops it without reading gets no event of an error.
  passed.on('error', () => undefined)
  passed.once('close', () => {
    source.destroy()
    held.destroy()
    done?.()
  })
  return passed
}
