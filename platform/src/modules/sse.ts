import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'

/** One event of `text/event-stream`. */
export interface ServerSentEvent {
  readonly id: string
  readonly event: string
  readonly data: unknown
}

/** Interval of comments, in ms. They keep proxies from closing a quiet stream, and show when a client has disconnected. */
export const HEARTBEAT = 15_000

/**
 * Writes the events of `open` until they end. When the stream is closed earlier, because the client disconnected, the signal
 * aborts, so that `open` can release its resources. https://html.spec.whatwg.org/multipage/server-sent-events.html
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
        // Waits for a client that reads slowly, so that no events pile up in memory.
        if (!stream.write(text)) await once(stream, 'drain', { signal: closed.signal })
      }
      stream.end()
    } catch (error) {
      // If the stream was closed by the client, the error is a consequence of that and is ignored.
      if (!closed.signal.aborted) stream.destroy(error as Error)
    } finally {
      clearInterval(heartbeat)
    }
  }
}
