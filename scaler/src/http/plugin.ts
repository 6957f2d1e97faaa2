import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Activator, Lease, TargetKey } from '../types.ts'
import { createLeaseDispatcher, SESSION } from './dispatcher.ts'
import { requestHeaders, responseHeaders, type TrustProxy } from './headers.ts'
import { EndpointPools } from './pools.ts'
import { ProxySession, type ResolveTarget } from './session.ts'
import { tunnel } from './tunnel.ts'

/** What a client that would rather see something than wait gets, while the target goes on waking. */
export interface LoadingPage {
  /** ms of waiting until it is sent. */
  readonly after: number
  applies(request: FastifyRequest): boolean
  send(request: FastifyRequest, reply: FastifyReply, key: TargetKey): unknown
}

export interface ScalerProxyOptions {
  readonly activator: Activator
  readonly resolve: ResolveTarget
  readonly loadingPage?: LoadingPage
  /** Whose X-Forwarded-* headers are believed. Default: nobody's. */
  readonly trustProxy?: TrustProxy
  /** ms the app may take until its response head. Default 5 minutes. */
  readonly responseTimeout?: number
  /** Writes the answer to an upgrade request that failed before anything was written. */
  readonly refuseUpgrade: (error: Error, request: IncomingMessage, socket: Duplex) => void
  readonly onLease?: (request: IncomingMessage, lease: Lease, key: TargetKey) => void
}

const CONNECT_TIMEOUT = 2_000
const RESPONSE_TIMEOUT = 300_000

declare module 'fastify' {
  interface FastifyRequest {
    scalerSession: ProxySession | null
  }
}

/**
 * Proxies every request of this Fastify instance to the target that `resolve` names, through a lease of the activator.
 * Errors reach the instance's own error handler as ScalerError. The request's body is not read before an endpoint is ready.
 */
export async function scalerProxy(fastify: FastifyInstance, options: ScalerProxyOptions): Promise<void> {
  const { activator, resolve, trustProxy = () => false, loadingPage } = options
  const pools = new EndpointPools({
    connect: CONNECT_TIMEOUT,
    headers: options.responseTimeout ?? RESPONSE_TIMEOUT,
  })
  fastify.decorateRequest('scalerSession', null)

  await fastify.register(httpProxy, {
    upstream: '',
    undici: createLeaseDispatcher(pools) as never,
    httpMethods: ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT', 'OPTIONS'],
    internalRewriteLocationHeader: false,
    disableCache: true,
    disableRequestLogging: true,
    preHandler: async (request, reply) => {
      const gone = new AbortController()
      const session = new ProxySession({ activator, resolve }, request.raw, gone.signal)
      request.scalerSession = session
      reply.raw.once('close', () => {
        // Told only of a client that left: each answered request would pay for an error and its stack.
        if (!reply.raw.writableFinished) gone.abort(new Error('The client has gone away.'))
        session.end()
      })
      const lease = await acquire(session, request, reply)
      if (lease) options.onLease?.(request.raw, lease, session.key!)
    },
    replyOptions: {
      getUpstream: () => 'http://app',
      rewriteRequestHeaders: (request, headers) => {
        const own = requestHeaders(headers as never, request.raw as IncomingMessage, trustProxy)
        return Object.assign(own, {
          [SESSION]: (request as unknown as FastifyRequest).scalerSession,
        }) as never
      },
      rewriteHeaders: (headers, request) =>
        responseHeaders(headers, (request as unknown as FastifyRequest).scalerSession?.lease) as never,
      // The app's own 503 is its answer, not ours to repeat; what may be retried is decided in the dispatcher.
      retryDelay: () => null as never,
      onError: (reply, { error }) => void reply.send((error as { cause?: Error }).cause ?? error),
    },
  })

  async function acquire(
    session: ProxySession,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Lease | undefined> {
    const waiting = session.acquire()
    if (!loadingPage?.applies(request)) return waiting
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, loadingPage.after, undefined)
    })
    const lease = await Promise.race([waiting, late]).finally(() => clearTimeout(timer))
    if (lease) return lease
    // The page's client no longer waits for this lease; the wake goes on without it.
    session.end()
    waiting.catch(() => undefined)
    await loadingPage.send(request, reply, session.key ?? '')
    return undefined
  }

  fastify.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const gone = new AbortController()
    const session = new ProxySession({ activator, resolve }, request, gone.signal)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      gone.abort(new Error('The client has gone away.'))
      session.end()
    })
    tunnel({ session, socket, head, trustProxy }).catch((error: Error) => {
      if (!socket.destroyed) options.refuseUpgrade(error, request, socket)
    })
  })

  fastify.addHook('onClose', () => pools.destroy())
}
