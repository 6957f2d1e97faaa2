import type { Duplex } from 'node:stream'
import type { ConsoleCookies } from './cookie-bomb.ts'
import { refuseSocket, type Refusal } from './answers.ts'
import { OversizedHead } from './oversized-head.ts'

/** Limit for a request's line and headers, in bytes. */
export const MAX_HEAD = 64 * 1024
/**
 * The same limit for Node's parser. It is higher by more than one piece that is read at once. So a head that is only somewhat
 * too large is known completely when it is refused, and of a larger one the piece at which the parser gives up contains a
 * whole cookie.
 */
export const MAX_PARSED_HEAD = MAX_HEAD + 72 * 1024
/** Limit for header lines: each costs as much as a hundred bytes of one line, here and in the app. Browsers send some 20. */
export const MAX_HEADER_LINES = 200

type ParseError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer }

/** RFC 9110 §9.1: a method is a token. */
const UNKNOWN_METHOD = /^[!#$%&'*+.^_`|~\w-]+ [^ ]+ HTTP\/1\.[01]\r?\n/

export const HEAD_TOO_LARGE: Refusal = [
  431,
  `The request line and headers are larger than ${MAX_HEAD / 1024} KB or more than ${MAX_HEADER_LINES} lines. Send fewer or shorter headers, cookies or query parameters.`,
  'FP_HEADERS_TOO_LARGE',
]

const NOT_HTTP: Refusal = [400, 'This is not a valid HTTP request.']

const NOT_IMPLEMENTED: Refusal = [
  501,
  'This server does not know the method of the request. Use one that is registered with IANA.',
  'FP_METHOD_NOT_IMPLEMENTED',
]

const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request took too long to arrive.'],
  HPE_PAUSED_H2_UPGRADE: [
    505,
    'This server speaks HTTP/1.1. For HTTP/2 put a proxy with TLS in front of it, or do not ask for HTTP/2.',
    'FP_HTTP_VERSION',
  ],
}

/** Answers what is not HTTP/1.1, or is too large or too slow to be a request, before any service is known. */
export function createClientErrors(cookies: ConsoleCookies): (error: ParseError, socket: Duplex) => void {
  const oversized = new WeakMap<Duplex, OversizedHead>()

  /** Called again for each further piece after the parser has given up. */
  function onOverflow(piece: Buffer, socket: Duplex): void {
    let head = oversized.get(socket)
    if (!head) oversized.set(socket, (head = new OversizedHead(socket, HEAD_TOO_LARGE, cookies)))
    head.add(piece)
  }

  return (error, socket) => {
    if (error.code === 'HPE_HEADER_OVERFLOW' && error.rawPacket) return onOverflow(error.rawPacket, socket)
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    refuseSocket(socket, ...refusalOf(error))
  }
}

function refusalOf({ code, rawPacket }: ParseError): Refusal {
  if (code === 'HPE_INVALID_METHOD') {
    const start = rawPacket?.subarray(0, 8192).toString('latin1') ?? ''
    return UNKNOWN_METHOD.test(start) ? NOT_IMPLEMENTED : NOT_HTTP
  }
  return REFUSALS[code ?? ''] ?? NOT_HTTP
}
