import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Socket } from 'node:net'
import { ScalerError } from '../errors.ts'
import type { Lease } from '../types.ts'
import { serverTiming } from './answer-headers.ts'
import { connectTo, KEEP_ALIVE } from './app-socket.ts'
import { DisconnectWatcher } from './disconnect-watcher.ts'
import { AnswerMeter, MAX_HEAD, MAX_HEAD_LINES } from './answer-meter.ts'
import { PacedSocket } from './paced-socket.ts'
import { hasBody } from './request-body.ts'
import { requestHeaders, type RequestHeaderRules } from './request-headers.ts'
import { requestPath } from './request-target.ts'
import { neverConnected, type ProxySession } from './session.ts'
import { upgradeHead } from './upgrade-head.ts'
import { tooLate, upstreamError } from './upstream-error.ts'

export interface TunnelOptions {
  readonly session: ProxySession
  readonly socket: Socket
  /** Bytes of the client that arrived with the upgrade request. */
  readonly head: Buffer
  readonly rules: RequestHeaderRules
  readonly wakeHeader: string
  /** Of the upgrade request. It is not used any more once the head of the response was written to the socket. */
  readonly reply: FastifyReply
}

/**
 * Whether a request asks for a WebSocket and nothing else. Only WebSockets are tunnelled: with other protocols (h2c), the
 * client could send further requests that the proxy does not see.
 */
export function asksForWebSocket(request: IncomingMessage): boolean {
  const { method, headers, httpVersion } = request
  const asks = method === 'GET' && httpVersion === '1.1' && headers.upgrade?.toLowerCase() === 'websocket'
  return asks && !hasBody(request)
}

/**
 * Sends an upgrade request (WebSocket) to the endpoint of a lease and then connects the two sockets, so that frames, pings and
 * close codes pass unchanged. The lease is held as long as the sockets are open. Resolves when the response head was written to
 * the client; rejects only if nothing was written to the client.
 */
export async function tunnel(options: TunnelOptions): Promise<void> {
  const { session, socket, head } = options
  const watcher = new DisconnectWatcher(socket, head)
  try {
    let lease = await session.acquire()
    for (;;) {
      try {
        return await open(lease, options, watcher)
      } catch (error) {
        if (!neverConnected(error as Error) || session.ended) throw error
        lease = await session.again(error as Error)
      }
    }
  } finally {
    watcher.end()
  }
}

function open(lease: Lease, options: TunnelOptions, watcher: DisconnectWatcher): Promise<void> {
  const { session, socket, reply } = options
  const { responseTimeout } = session.limits
  session.signal.throwIfAborted()
  const upstream = ask(lease, options)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = (): void => void upstream.destroy(session.signal.reason as Error)
  const late = (): void => {
    session.report('timeout')
    upstream.destroy(tooLate(responseTimeout))
  }
  const timer = responseTimeout > 0 ? setTimeout(late, responseTimeout) : undefined
  session.signal.addEventListener('abort', abort, { once: true })

  const writeHead = (response: IncomingMessage): void => {
    const set = reply.getHeaders() as OutgoingHttpHeaders
    const timing = serverTiming(lease)
    if (timing) set['server-timing'] = timing
    const headText = upgradeHead(response, {
      set,
      own: { ...session.own, [options.wakeHeader]: session.mark },
    })
    reply.hijack()
    reply.raw.detachSocket(socket)
    socket.write(headText, 'latin1')
  }
  const refuse = (flaw: string): void => {
    reject(new ScalerError('SCALER_UPSTREAM_INVALID', flaw))
    upstream.destroy()
  }

  upstream.on('error', (error) => reject(answerable(error, options)))
  upstream.once('upgrade', (response, paced: PacedSocket, first) => {
    const peer = paced.release()
    if (response.headers.upgrade?.toLowerCase() !== 'websocket') {
      peer.destroy()
      return refuse('The app switched to a protocol other than WebSocket.')
    }
    watcher.end()
    writeHead(response)
    socket.write(first)
    const early = watcher.bytes
    peer.write(early)
    session.meter?.answered(101)
    session.meter?.joined(socket, peer, [early.length, (first as Buffer).length])
    join(socket, peer, session)
    resolve()
  })
  upstream.once('response', (response) => {
    // Node also reports a 101 here if its headers do not name the new protocol.
    const { statusCode = 0 } = response
    if (upstream.destroyed) return
    if (statusCode < 200 || statusCode > 599)
      return refuse(`${statusCode} is not a valid response to an upgrade request.`)
    writeHead(response)
    session.meter?.answered(statusCode)
    passRefusal(response, socket, session)
    resolve()
  })
  upstream.end()
  return promise.finally(() => {
    clearTimeout(timer)
    session.signal.removeEventListener('abort', abort)
  })
}

function ask(
  { endpoint }: Lease,
  { session: { request, headers: added }, rules }: TunnelOptions,
): ClientRequest {
  const headers = requestHeaders(request, rules, added)
  headers.push('connection', 'Upgrade', 'upgrade', 'websocket')
  const connection = connectTo(endpoint)
  const meter = new AnswerMeter(connection)
  const createConnection = (): PacedSocket => new PacedSocket(connection, endpoint.id, meter)
  const upstream = httpRequest({
    createConnection,
    path: requestPath(request),
    headers,
    maxHeaderSize: MAX_HEAD,
  })
  // One more than allowed, to detect that the limit is exceeded.
  upstream.maxHeadersCount = MAX_HEAD_LINES + 1
  const attempt = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      upstream.destroy(error as Error)
    }
  }
  upstream.on('information', () => attempt(() => meter.interimEnded()))
  upstream.prependOnceListener('response', ({ rawHeaders }) =>
    attempt(() => meter.headEnded(rawHeaders, false)),
  )
  return upstream
}

function answerable(error: Error, { session }: TunnelOptions): Error {
  const known = error instanceof ScalerError || neverConnected(error) || session.ended
  return known ? error : upstreamError(error, session)
}

/** Connects the two sockets in both directions. The session, and with it the lease, ends when either socket is closed. */
function join(client: Socket, app: Socket, session: ProxySession): void {
  client.setKeepAlive(true, KEEP_ALIVE)
  for (const [from, to] of [
    [client, app],
    [app, client],
  ] as const) {
    from.pipe(to)
    from.once('error', () => to.destroy())
    from.once('close', () => {
      session.end()
      to.destroySoon()
    })
  }
}

/** The app has refused the upgrade: forwards the body of its response to the client, and then closes the connection. */
function passRefusal(response: IncomingMessage, socket: Socket, session: ProxySession): void {
  response.once('end', () => {
    session.end()
    socket.destroySoon()
  })
  response.once('error', () => {
    session.meter?.failed('RESPONSE_BROKEN')
    socket.destroy()
  })
  socket.once('close', () => response.destroy())
  const { meter } = session
  if (meter) response.on('data', (chunk: Buffer) => (meter.bytesOut += chunk.length))
  response.pipe(socket, { end: false })
}
