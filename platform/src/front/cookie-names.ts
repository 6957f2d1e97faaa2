/** RFC 6265 §4.1.1: a name is a token. Longer names than this are ignored. */
const PAIR = /(?:^cookie:|;)[ \t]*([!#$%&'*+.^_`|~\w-]{1,256})=/gi
/** How many characters at the end of a piece may contain the beginning of a name. */
const OVERLAP = 300

/** Collects the names of cookies from pieces of a request's head. The first piece may begin anywhere in the head. */
export class CookieNames {
  readonly names = new Set<string>()
  readonly #most: number
  /** Whether the current line is a Cookie header. The first piece is regarded as one, as no other header is as long. */
  #isCookie = true
  /** The end of the last piece, and whether it is the beginning of its line. */
  #rest = ''
  #isWhole = false

  /** `most`: limit for the number of names. */
  constructor(most: number) {
    this.#most = most
  }

  add(piece: Buffer): void {
    if (this.names.size >= this.#most) return
    const lines = (this.#rest + piece.toString('latin1')).split('\r\n')
    for (const [index, line] of lines.entries()) {
      if (index > 0 || this.#isWhole) this.#isCookie = /^cookie:/i.test(line)
      if (!this.#isCookie) continue
      for (const [, name] of line.matchAll(PAIR)) {
        this.names.add(name!)
        if (this.names.size >= this.#most) return
      }
    }
    const last = lines.at(-1)!
    this.#isWhole = last.length <= OVERLAP && (lines.length > 1 || this.#isWhole)
    this.#rest = last.slice(-OVERLAP)
  }
}
