import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** Chunks of one request's body that are read in one turn of the event loop. */
const IN_A_TURN = 500
/** The connection is closed if so many chunks arrive at once and are smaller than TINY on average: no real client does so. */
const TOO_MANY = 1_000
const TINY = 16

/** Node's parser of a connection, which is missing in its types: its callbacks by number. */
type ParsedSocket = Socket & { readonly parser?: Record<number, unknown> | null }

/**
 * Limits the cost of chunked bodies: Node emits each chunk by itself, and 64 KB that are read at once hold 10,000 chunks of
 * one byte. A request with many chunks waits for its turn. In each turn of the event loop one such request continues.
 */
export class Chunks {
  readonly #waiting = new Set<() => void>()

  watch(request: IncomingMessage): void {
    if (request.headers['transfer-encoding'] === undefined) return
    const push = request.push.bind(request)
    const read = request._read.bind(request)
    let chunks = 0
    let bytes = 0
    let isWanted = false
    let isWaiting = false
    const newTurn = (): void => void (chunks = bytes = 0)
    const goOn = (): void => {
      isWaiting = false
      if (isWanted && !request.destroyed) read(0)
    }
    request._read = (size) => {
      isWanted = true
      if (!isWaiting) read(size)
    }
    request.push = (chunk: Buffer | null) => {
      if (chunk === null) return push(chunk)
      if (request.destroyed) return false
      if (chunks === 0) setImmediate(newTurn)
      chunks++
      bytes += chunk.length
      if (chunks >= TOO_MANY && bytes < chunks * TINY) {
        takeNoBody(request.socket)
        request.socket.destroy()
        return false
      }
      const more = push(chunk)
      if (chunks < IN_A_TURN) return more
      isWanted ||= more
      if (!isWaiting) this.#wait(goOn)
      isWaiting = true
      return false
    }
  }

  #wait(goOn: () => void): void {
    if (this.#waiting.size === 0) setImmediate(this.#pass)
    this.#waiting.add(goOn)
  }

  readonly #pass = (): void => {
    const [next] = this.#waiting as Set<() => void> & Iterable<() => void, undefined, undefined>
    this.#waiting.delete(next!)
    if (this.#waiting.size > 0) setImmediate(this.#pass)
    next!()
  }
}

/** Without this Node's parser would emit the remaining chunks of a packet even after the connection was destroyed. */
function takeNoBody({ parser }: ParsedSocket): void {
  if (!parser) return
  for (const [at, callback] of Object.entries(parser)) {
    if (typeof callback !== 'function' || callback.name !== 'parserOnBody') continue
    parser[Number(at)] = null
    // Restores the callback before the parser is reused for another connection, which is after this one was closed.
    setImmediate(() => (parser[Number(at)] = callback))
  }
}
