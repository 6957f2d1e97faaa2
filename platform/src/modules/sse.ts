import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'

/** One event of `text/event-stream`. */
export interface ServerSentEvent {
  readonly id: string
  readonly event: string
  readonly data: unknown
}

/** A comment so often keeps proxies from closing a quiet stream, and finds clients that are gone. ms */
export const HEARTBEAT = 15_000

/**
 * Writes what `open` gives until it ends. When the stream is closed before, because the client went away, the signal
 * fires, so that `open` can let go of what it holds. https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function eventStream(
  open: (signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
  options: { heartbeat?: number } = {},
): Readable {
  const closed = new AbortController()
  const stream = new PassThrough()
  const heartbeat = setInterval(() => stream.write(': still there\n\n'), options.heartbeat ?? HEARTBEAT)
  stream.once('close', () => {
    clearInterval(heartbeat)
    closed.abort()
  })
  void copy()
  return stream

  async function copy(): Promise<void> {
    try {
      for await (const { id, event, data } of open(closed.signal)) {
        const text = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
        // A client that reads slowly holds what comes up, and is not written ahead of.
        if (!stream.write(text)) await once(stream, 'drain', { signal: closed.signal })
      }
      stream.end()
    } catch (error) {
      // Whoever closed the stream needs no word of it.
      if (!closed.signal.aborted) stream.destroy(error as Error)
    } finally {
      clearInterval(heartbeat)
    }
  }
}
