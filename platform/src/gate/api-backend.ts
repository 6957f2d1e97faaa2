import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { closeRawIfUnread, type TrustProxy } from '@fp/scaler/http'
import { refuse } from '../front/answers.ts'
import type { Backend } from '../front/front.ts'
import { createSocketAgent } from './channel/socket-agent.ts'
import { forwardedHeaders, USER_HEADER } from './forwarded.ts'

/** The default of `patience`, in ms. */
const PATIENCE = 15_000
/** How often a request is sent again: over an idle connection and over one to a process that ends, it may fail twice. */
const MOST_REPEATS = 2

export interface ApiBackendOptions {
  /** Where the API's process listens. */
  readonly socket: string
  /** Which proxies in front of the gate are trusted: their headers about clients are passed on. */
  readonly trusts: TrustProxy
  /** Called when the API has found the session of a request and has not refused the request as one too many. */
  readonly onSession: (sessionId: string, userId: string) => void
  /** How long a request waits for an API process that restarts, in ms. */
  readonly patience?: number
}

/**
 * The API for the front door: a proxy that passes every request on to the API's process over a unix socket, with both bodies
 * as streams. A request that arrives while the API restarts waits for it.
 */
export function createApiBackend(options: ApiBackendOptions): Backend & AsyncDisposable {
  const { socket, trusts, onSession, patience = PATIENCE } = options
  const agent = createSocketAgent({ path: socket, patience })

  function pass(req: IncomingMessage, res: ServerResponse, attempt = 0): void {
    const sent = httpRequest({
      agent,
      path: req.url!,
      method: req.method!,
      headers: forwardedHeaders(req, trusts),
      setHost: false,
    })
    sent.on('response', (answer) => {
      // The front door has refused the request meanwhile.
      if (res.headersSent) return void sent.destroy()
      // The API may have answered before it read the whole upload. Then neither the API nor the gate reads the rest.
      closeRawIfUnread(req, res)
      const headers = answerHeaders(answer, onSession)
      res.writeHead(answer.statusCode!, answer.statusMessage, headers)
      // The first piece of a stream may come much later than its head.
      if (answer.headers['content-length'] === undefined) res.flushHeaders()
      answer.on('error', () => res.destroy())
      answer.pipe(res)
    })
    sent.on('error', () => {
      if (res.headersSent && !res.writableEnded) return void res.destroy()
      if (res.headersSent || res.destroyed) return
      // The API was just closing this idle connection, or it ended after the kernel had accepted the connection for it. No answer
      // has arrived, and sending the request again does no harm.
      if (attempt < MOST_REPEATS && isRepeatable(req)) return pass(req, res, attempt + 1)
      closeRawIfUnread(req, res)
      refuse(res, 503, 'The API is restarting. Try again shortly.', 'FP_UNAVAILABLE', {
        headers: { 'retry-after': '1' },
      })
    })
    res.once('close', () => {
      req.unpipe(sent)
      sent.destroy()
    })
    req.pipe(sent)
  }

  return {
    server: createServer((req, res) => pass(req, res)),
    async [Symbol.asyncDispose]() {
      agent.destroy()
    },
  }
}

/** Whether the request may be sent twice and has no body, of which a part could be lost. */
function isRepeatable({ method, headers }: IncomingMessage): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return !hasBody && (method === 'GET' || method === 'HEAD')
}

/** Headers of the connection between API and gate, and the one that is for the gate alone. */
const DROPPED = new Set(['connection', 'keep-alive', 'transfer-encoding', USER_HEADER])

function answerHeaders(
  { rawHeaders, statusCode }: IncomingMessage,
  onSession: ApiBackendOptions['onSession'],
): string[] {
  const kept: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = [rawHeaders[at]!, rawHeaders[at + 1]!]
    const lower = name.toLowerCase()
    if (lower === USER_HEADER && statusCode !== 429) {
      const [userId, sessionId] = value.split(' ')
      if (userId && sessionId) onSession(sessionId, userId)
    }
    if (!DROPPED.has(lower)) kept.push(name, value)
  }
  return kept
}
