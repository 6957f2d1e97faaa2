import type { Socket } from 'node:net'
import { errors } from 'undici'

/** The maximum size of a response head in bytes; larger ones fail with SCALER_UPSTREAM_HEAD_TOO_LARGE. */
export const MAX_HEAD = 64 * 1024
/** The maximum number of lines of a response head; more fail with SCALER_UPSTREAM_HEAD_TOO_LARGE. */
export const MAX_HEAD_LINES = 1_000
/** The maximum number of interim responses (such as 103) before the final response. */
export const MAX_INTERIM = 16
/** The maximum bytes of a body that are not content (chunk sizes, chunk extensions, trailers): in total, plus some per chunk. */
const MAX_FRAMING = 16 * 1024
const MAX_FRAMING_OF_CHUNK = 128

/**
 * The number of bytes that are parsed at once, of heads and of bodies. Parsing a piece that is full of the smallest possible
 * lines, chunks or trailers takes some milliseconds. The parser reports nothing of a head, even of thousands of lines, before
 * the head is complete.
 */
const HEAD_PIECE = 8 * 1024
const BODY_PIECE = 32 * 1024

const LF = 10

/**
 * Limits everything except content in the responses on one connection. undici counts only the bytes of header names and
 * values, and parses all the bytes that it was given even after the limit is exceeded. So undici gets the bytes in pieces, and
 * the meter checks between two pieces how many bytes undici has read and what it has reported.
 */
export class AnswerMeter {
  readonly #socket: Socket
  /** Whether a response was received before the present one. */
  #used = false
  #inHead = true
  /** The number of bytes that the parser had read when counting began; undefined: counting begins with the next piece. */
  #from: number | undefined
  #lines = 0
  #interim = 0
  #content = 0
  #chunks = 0
  #piece: Buffer | undefined

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** The maximum size of the next piece in bytes. */
  get next(): number {
    return this.#inHead ? HEAD_PIECE : BODY_PIECE
  }

  /**
   * Whether an error of the connection now may come from a close while the connection was idle: it has served a request before,
   * and no byte of the next response has arrived.
   */
  get mayBeStale(): boolean {
    const hasBytes = this.#from !== undefined || this.#interim > 0 || this.#socket.readableLength > 0
    return this.#used && this.#inHead && !hasBytes
  }

  /** Called between two pieces. Returns an error if a limit is exceeded; the response must not be read any further then. */
  flaw(): Error | undefined {
    const taken = this.#socket.bytesRead - this.#socket.readableLength
    if (this.#from === undefined) {
      this.#from = taken
      this.#chunks = 0
      if (this.#content !== Infinity) this.#content = 0
      return undefined
    }
    const bytes = taken - this.#from
    if (!this.#inHead) {
      const framing = bytes - this.#content
      if (framing <= MAX_FRAMING + this.#chunks * MAX_FRAMING_OF_CHUNK) return undefined
      return new errors.HTTPParserError('The extensions of chunks, or the trailers, are too large.')
    }
    if (this.#piece) this.#lines += linesIn(this.#piece)
    // This method may be called again before the next piece; the lines must be counted once only.
    this.#piece = undefined
    return bytes > MAX_HEAD || this.#lines > MAX_HEAD_LINES ? new errors.HeadersOverflowError() : undefined
  }

  given(piece: Buffer): void {
    if (this.#inHead) this.#piece = piece
  }

  interimEnded(): void {
    if (++this.#interim > MAX_INTERIM)
      throw new RangeError('There are too many interim responses before the final response.')
    this.#count(true)
  }

  /** `tellsContent`: whether `content` is called for each chunk before the next piece is read. */
  headEnded(rawHeaders: readonly { readonly length: number }[], tellsContent = true): void {
    // The head may have exceeded the limit and ended within the same piece.
    const isLarge = this.#socket.bytesRead - (this.#from ?? 0) > MAX_HEAD
    const bytes = isLarge ? rawHeaders.reduce((sum, { length }) => sum + length + 2, 0) : 0
    if (rawHeaders.length > 2 * MAX_HEAD_LINES || bytes > MAX_HEAD) throw new errors.HeadersOverflowError()
    this.#count(false)
    if (!tellsContent) this.#content = Infinity
  }

  content(bytes: number): void {
    this.#content += bytes
    this.#chunks++
  }

  ended(): void {
    this.#used = true
    this.#interim = 0
    this.#count(true)
  }

  #count(inHead: boolean): void {
    this.#inHead = inHead
    this.#from = undefined
    this.#piece = undefined
    this.#lines = this.#content = this.#chunks = 0
  }
}

function linesIn(piece: Buffer): number {
  let lines = 0
  for (let at = piece.indexOf(LF); at >= 0; at = piece.indexOf(LF, at + 1)) lines++
  return lines
}
