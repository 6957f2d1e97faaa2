/** RFC 6265 §4.1.1: a name is a token. Longer ones than this are left alone. */
const PAIR = /(?:^cookie:|;)[ \t]*([!#$%&'*+.^_`|~\w-]{1,256})=/gi
/** Of the end of a piece, what the beginning of a name may stand in. */
const OVERLAP = 300

/** Collects the names of cookies from pieces of a request's head, of which the first may begin anywhere in it. */
export class CookieNames {
  readonly names = new Set<string>()
  readonly #most: number
  /** Whether the line that goes on is one of cookies. The first piece is taken for one: nothing else is as long. */
  #isCookie = true
  /** The end of the last piece, and whether its line begins with it. */
  #rest = ''
  #isWhole = false

  /** `most`: of the names. */
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
