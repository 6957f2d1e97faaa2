import type { Socket } from 'node:net'
import { errors } from 'undici'

/** Bytes of the head of an answer; more is SCALER_UPSTREAM_HEAD_TOO_LARGE. */
export const MAX_HEAD = 64 * 1024
/** Lines of it; more is the same. */
export const MAX_HEAD_LINES = 1_000
/** Answers before the answer (103 and the like). */
export const MAX_INTERIM = 16
/** Bytes of an answer's body that are not its content (sizes and extensions of chunks, trailers): in all, and more for each chunk. */
const MAX_FRAMING = 16 * 1024
const MAX_FRAMING_OF_CHUNK = 128

/**
 * Bytes that are parsed in one piece: of heads, which may be thousands of lines before there is a word of any, and of
 * bodies. The smallest lines, chunks and trailers that fill a piece take some milliseconds.
 */
const HEAD_PIECE = 8 * 1024
const BODY_PIECE = 32 * 1024

const LF = 10

/**
 * Bounds what is no content in the answers on one connection. undici counts the bytes of names and values alone, and parses
 * to the end of what it was given even when there are too many. So it is given pieces, and looked at in between: what it
 * has told of, and which bytes it has taken.
 */
export class AnswerMeter {
  readonly #socket: Socket
  #inHead = true
  /** Bytes that the parser had taken when the count began; undefined: it begins with the next piece. */
  #from: number | undefined
  #lines = 0
  #interim = 0
  #content = 0
  #chunks = 0
  #piece: Buffer | undefined

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Bytes that the next piece may have. */
  get next(): number {
    return this.#inHead ? HEAD_PIECE : BODY_PIECE
  }

  /** Between two pieces: why the answer is not read any further. */
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
    // Asked again before there is another.
    this.#piece = undefined
    return bytes > MAX_HEAD || this.#lines > MAX_HEAD_LINES ? new errors.HeadersOverflowError() : undefined
  }

  given(piece: Buffer): void {
    if (this.#inHead) this.#piece = piece
  }

  interimEnded(): void {
    if (++this.#interim > MAX_INTERIM) throw new RangeError('There are too many answers before the answer.')
    this.#count(true)
  }

  /** `tellsContent`: whether `content` is called for each chunk before the next piece. */
  headEnded(rawHeaders: readonly { readonly length: number }[], tellsContent = true): void {
    // It may have ended in the piece in which it became too large.
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
