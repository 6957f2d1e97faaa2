import { FpError } from '../../errors.ts'

/** One part of a form. */
export interface Part {
  readonly name: string
  readonly bytes: number
  /** Undefined when it is larger than `maxPartBytes`. */
  readonly content: Buffer | undefined
}

export interface MultipartLimits {
  readonly maxBytes: number
  readonly maxParts: number
  readonly maxPartBytes: number
}

/** Limit for a part's headers, in bytes. A path of 200 bytes, a file name and a type need far less. */
const MAX_HEAD = 4 * 1024
const CRLF = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')
/** RFC 2046, 5.1.1: at most 70 characters. */
const BOUNDARY = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i

/**
 * Reads a multipart/form-data body (RFC 7578) part by part, as it arrives, with at most one part in memory. Throws
 * FP_INVALID_MULTIPART, also for an incomplete body, FP_BODY_TOO_LARGE and FP_TOO_MANY_FILES.
 */
export async function* readMultipart(
  contentType: string,
  body: AsyncIterable<Buffer>,
  limits: MultipartLimits,
): AsyncGenerator<Part> {
  const match = BOUNDARY.exec(contentType)
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined) throw invalid('its Content-Type names no boundary')
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const reader = new Reader(body, limits.maxBytes)
  await reader.until(delimiter, () => undefined)
  for (let count = 1; ; count++) {
    if ((await reader.peek(2)).equals(Buffer.from('--'))) return
    if (count > limits.maxParts) throw tooMany(limits.maxParts)
    await reader.collect(CRLF, MAX_HEAD)
    // Keeps the line break before the headers, so that their end is also found in a part without headers.
    reader.unread(CRLF)
    const name = nameOf(await reader.collect(HEAD_END, MAX_HEAD))
    let bytes = 0
    let pieces: Buffer[] = []
    await reader.until(delimiter, (piece) => {
      bytes += piece.length
      if (bytes > limits.maxPartBytes) pieces = []
      else pieces.push(piece)
    })
    const content = bytes > limits.maxPartBytes ? undefined : Buffer.concat(pieces, bytes)
    yield { name, bytes, content }
  }
}

/** Reads arriving bytes up to a mark. */
class Reader {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #limit: number
  #total = 0
  /** Begins with a line break: every delimiter has one before it, except for the first one of a body. */
  #unread: Buffer = CRLF

  constructor(body: AsyncIterable<Buffer>, limit: number) {
    this.#chunks = body[Symbol.asyncIterator]()
    this.#limit = limit
  }

  /** Passes the bytes before the mark to `take`, piece by piece, and leaves those after the mark unread. */
  async until(mark: Buffer, take: (piece: Buffer) => void): Promise<void> {
    for (;;) {
      const at = this.#unread.indexOf(mark)
      if (at >= 0) {
        take(this.#unread.subarray(0, at))
        this.#unread = this.#unread.subarray(at + mark.length)
        return
      }
      // The last bytes may be the beginning of a mark.
      const safe = Math.max(0, this.#unread.length - mark.length + 1)
      take(this.#unread.subarray(0, safe))
      this.#unread = this.#unread.subarray(safe)
      await this.#more()
    }
  }

  /** The same as `until`, with the bytes in one piece. */
  async collect(mark: Buffer, limit: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    let size = 0
    await this.until(mark, (piece) => {
      size += piece.length
      if (size > limit) throw invalid(`the headers of a part have more than ${limit} bytes`)
      pieces.push(piece)
    })
    return Buffer.concat(pieces)
  }

  async peek(count: number): Promise<Buffer> {
    while (this.#unread.length < count) await this.#more()
    return this.#unread.subarray(0, count)
  }

  unread(bytes: Buffer): void {
    this.#unread = Buffer.concat([bytes, this.#unread])
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#chunks.next()
    if (done) throw invalid('it ends before its last boundary')
    this.#total += value.length
    if (this.#total > this.#limit) throw tooLarge(this.#limit)
    this.#unread = this.#unread.length === 0 ? value : Buffer.concat([this.#unread, value])
  }
}

/** The field's name without the escapes of browsers (WHATWG, multipart/form-data encoding). */
function nameOf(head: Buffer): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(head)
  } catch {
    throw invalid('the headers of a part are not UTF-8')
  }
  const disposition = /\r\ncontent-disposition:([^\r\n]*)/i.exec(text)?.[1]
  const name = /;\s*name="((?:[^"\\]|\\.)*)"/i.exec(disposition ?? '')?.[1]
  if (name === undefined) throw invalid('a part has no Content-Disposition with a name in quotes')
  return name
    .replace(/\\(["\\])/g, '$1')
    .replace(/%(22|0D|0A)/gi, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
}

function invalid(why: string): FpError {
  return new FpError(
    'FP_INVALID_MULTIPART',
    `The upload is no valid multipart form: ${why}. Send each file as a part whose field name is its path in the app: curl -F 'static/logo.png=@logo.png'.`,
  )
}

export function tooLarge(limit: number): FpError {
  return new FpError(
    'FP_BODY_TOO_LARGE',
    `The upload is too large: ${limit / 1024 / 1024} MB are allowed in one request. Send fewer files at once.`,
  )
}

function tooMany(limit: number): FpError {
  return new FpError('FP_TOO_MANY_FILES', `An upload holds at most ${limit} files. Send fewer at once.`)
}
