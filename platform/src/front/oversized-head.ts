import type { Duplex } from 'node:stream'
import { CookieNames } from './cookie-names.ts'
import { COOKIES_PAGE, expireCookies, type ConsoleCookies } from './cookie-bomb.ts'
import { refuseSocket, type Refusal } from './answers.ts'

/** Bytes of a head beyond the limit that are still examined: more than all cookies that a browser keeps for a domain. */
const MAX_LOOK = 1024 * 1024
/** ms for the rest of the head to arrive, and then for the client to read the answer. */
const PATIENCE = 2_000
const HEAD_END = '\r\n\r\n'
/** Cookie names that are deleted by one answer. The browser's next request deletes the rest. */
const MAX_EXPIRED = 60
/** The paths of the console's requests, as the path of this request is not known here. */
const PATHS = ['/', '/api', '/api/auth', '/api/auth/me', '/api/auth/login', '/api/apps', '/api/templates']

/**
 * Refuses a request whose head is so large that Node's parser gives up and passes on the rest in pieces. The answer makes the
 * browser delete the cookies in them (see cookie-bomb.ts), until the parser can read the rest.
 */
export class OversizedHead {
  readonly #socket: Duplex
  readonly #refusal: Refusal
  readonly #cookies: ConsoleCookies
  readonly #found = new CookieNames(MAX_EXPIRED)
  #timer: NodeJS.Timeout
  #seen = 0
  #end = ''
  #answered = false

  constructor(socket: Duplex, refusal: Refusal, cookies: ConsoleCookies) {
    this.#socket = socket
    this.#refusal = refusal
    this.#cookies = cookies
    this.#timer = setTimeout(() => this.#answer(), PATIENCE)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => clearTimeout(this.#timer))
  }

  /** Reads on to the head's end before it answers. Otherwise the client would see a reset in place of the answer. */
  add(piece: Buffer): void {
    this.#seen += piece.length
    if (this.#answered) {
      if (this.#seen > 2 * MAX_LOOK) this.#socket.destroy()
      return
    }
    this.#found.add(piece)
    const end = this.#end + piece.subarray(-4).toString('latin1')
    this.#end = end.slice(-3)
    if (this.#seen > MAX_LOOK || end.includes(HEAD_END) || piece.includes(HEAD_END)) this.#answer()
  }

  #answer(): void {
    this.#answered = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#socket.destroy(), PATIENCE)
    const [status, message, code] = this.#refusal
    const names = [...this.#found.names]
    const setCookie = expireCookies(names, PATHS, this.#cookies)
    refuseSocket(
      this.#socket,
      status,
      message,
      code,
      names.length > 0 ? { setCookie, page: COOKIES_PAGE } : {},
    )
  }
}
