import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** Chunks of one request's body that are taken in one turn of the event loop. */
const IN_A_TURN = 500
/** Where so many come at once, and are smaller than this on average, the connection is cut: no client writes so. */
const TOO_MANY = 1_000
const TINY = 16

/** Node's parser of a connection, which its types leave out: its callbacks, by number. */
type ParsedSocket = Socket & { readonly parser?: Record<number, unknown> | null }

/**
 * Bounds what bodies in chunks cost: Node hands out each chunk by itself, and 64 KB that are read at once hold 10,000 of one
 * byte. A request whose chunks are many waits until it is its turn; one a turn of the loop goes on.
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

/** Node's parser would hand out the chunks that have come in the same packet, connection destroyed or not. */
function takeNoBody({ parser }: ParsedSocket): void {
  if (!parser) return
  for (const [at, callback] of Object.entries(parser)) {
    if (typeof callback !== 'function' || callback.name !== 'parserOnBody') continue
    parser[Number(at)] = null
    // The parser gets another connection once this one is closed, which is later.
    setImmediate(() => (parser[Number(at)] = callback))
  }
}
