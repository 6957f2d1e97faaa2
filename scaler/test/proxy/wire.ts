import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { readMessage, type Message } from './message.ts'

/** The other end is gone though more was asked for. */
export class WireClosed extends Error {}

/**
 * One raw connection, of a client or of an app: bytes out exactly as the test writes them, bytes in as they come. Text is
 * latin-1, one character a byte.
 */
export class Wire {
  readonly socket: Socket
  /** The other end's FIN has come: its side ended in order. */
  finished = false
  /** Nothing more will come, in order or by a reset. */
  ended = false
  #parts: Buffer[] = []
  #wakeUp: () => void = () => undefined

  constructor(socket: Socket) {
    this.socket = socket
    const told = (set: () => void) => (): void => {
      set()
      this.#wakeUp()
    }
    socket.setNoDelay(true)
    socket.on('data', (data: Buffer) => {
      this.#parts.push(data)
      this.#wakeUp()
    })
    socket.on(
      'end',
      told(() => (this.finished = this.ended = true)),
    )
    socket.on(
      'close',
      told(() => (this.ended = true)),
    )
    socket.on(
      'error',
      told(() => (this.ended = true)),
    )
  }

  static async to(address: number | string): Promise<Wire> {
    const options = typeof address === 'number' ? { port: address, host: '127.0.0.1' } : { path: address }
    const socket = connect({ ...options, allowHalfOpen: true })
    await once(socket, 'connect')
    return new Wire(socket)
  }

  send(bytes: string | Buffer): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return this
  }

  /** Resolves once the kernel has taken the bytes, or never will. */
  flush(bytes: string | Buffer): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    return new Promise((resolve) => this.socket.write(data, () => resolve()))
  }

  /** What has come and was not read. */
  get pending(): string {
    return this.#joined().toString('latin1')
  }

  async take(length: number): Promise<Buffer> {
    while (this.#parts.reduce((sum, part) => sum + part.length, 0) < length)
      await this.#more(`${length} bytes`)
    const all = this.#joined()
    this.#parts = [all.subarray(length)]
    return all.subarray(0, length)
  }

  /** Everything up to the mark; the mark is taken away and not returned. */
  async until(mark: string): Promise<string> {
    for (;;) {
      const at = this.#joined().indexOf(mark, 0, 'latin1')
      if (at >= 0) {
        const text = (await this.take(at)).toString('latin1')
        await this.take(mark.length)
        return text
      }
      await this.#more(JSON.stringify(mark))
    }
  }

  /** The next message: an answer or a request. `noBody` for the answer to a HEAD request. */
  message(options: { noBody?: boolean } = {}): Promise<Message> {
    return readMessage(this, options)
  }

  /** All that still comes, until the other end has ended. */
  async rest(): Promise<string> {
    while (!this.ended) await new Promise<void>((resolve) => (this.#wakeUp = resolve))
    const rest = this.pending
    this.#parts = []
    return rest
  }

  close(): void {
    this.socket.destroy()
  }

  /** A TCP reset, the abrupt end; a unix socket has none. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  #joined(): Buffer {
    if (this.#parts.length !== 1) this.#parts = [Buffer.concat(this.#parts)]
    return this.#parts[0]!
  }

  async #more(wanted: string): Promise<void> {
    if (this.ended)
      throw new WireClosed(`Ended before ${wanted}; got ${JSON.stringify(this.pending.slice(0, 500))}`)
    await new Promise<void>((resolve) => (this.#wakeUp = resolve))
  }
}
