import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { METHODS } from 'node:http'
import { Readable } from 'node:stream'
import { systemClock } from '../clock.ts'
import { asError } from '../as-error.ts'
import { refuseBadRequests } from './bad-request.ts'
import { Exchange, type ExchangeContext } from './exchange.ts'
import { limitsOf } from './limits.ts'
import { closeIfUnread } from './linger.ts'
import { OpenExchanges } from './open-exchanges.ts'
import { checkOptions, type ScalerProxyOptions } from './options.ts'
import { trustOf } from './origin.ts'
import { EndpointPools } from './pools.ts'
import { passBodies } from './request-body.ts'
import { prepareServer, upgradeOf } from './server.ts'
import { isAsleep, passUpgrade, type UpgradeContext } from './upgrades.ts'
import { wake } from './wake.ts'

const WAKE_HEADER = 'x-scaler-wake'
const NONE = {}
const CLOSE_GRACE = 10_000
const HTTP_METHODS = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')

/** The key under which a request's exchange passes through @fastify/reply-from: it forwards our headers to our dispatcher. */
const EXCHANGE = Symbol('scaler.exchange')

declare module 'fastify' {
  interface FastifyRequest {
    scalerExchange: Exchange | null
  }
}

/**
 * Proxies every request of this Fastify instance to the target that `resolve` returns, with a lease of the activator. Errors
 * reach the instance's own error handler as ScalerError. The body of a request is not read before an endpoint is ready. The
 * response bypasses Fastify and is written as it arrives: `onSend` hooks are not called, `onResponse` hooks are, and headers
 * that were set on the reply before are sent unless the app sets them. Upgrades to WebSockets go through the same routes, hooks
 * and error handler; when one is open, no more hooks are called for it.
 */
export async function scalerProxy(fastify: FastifyInstance, options: ScalerProxyOptions): Promise<void> {
  checkOptions(fastify, options)
  const { activator, resolve, httpMethods = HTTP_METHODS } = options
  const limits = limitsOf(options, options.limits)
  const pools = new EndpointPools()
  const context: ExchangeContext & UpgradeContext = {
    activator,
    resolve,
    pools,
    trustProxy: trustOf(options.trustProxy),
    limits,
    open: new OpenExchanges(),
    fallbackWakes: new Map(),
    hooks: options,
    policies: options.wakePolicies ?? [],
    loadingPage: options.loadingPage,
    clientPrefix: options.clientPrefix?.toLowerCase(),
    wakeHeader: options.wakeHeader ?? WAKE_HEADER,
    ownHeaders: options.ownHeaders ?? (() => NONE),
    clock: options.clock ?? systemClock,
  }
  prepareServer(fastify)
  fastify.decorateRequest('scalerExchange', null)
  refuseBadRequests(fastify)
  passBodies(fastify)
  for (const method of httpMethods)
    if (!fastify.supportedMethods.includes(method)) fastify.addHttpMethod(method)

  const proxy: FastifyHttpProxyOptions = {
    upstream: '',
    undici: { request: send } as never,
    httpMethods: [...httpMethods],
    disableCache: true,
    disableRequestLogging: true,
    preHandler,
    // http-proxy and reply-from parse the path. This keeps them from seeing it; the request is sent with the client's path.
    preRewrite: () => '/',
    // Does not return the reply, so that Fastify need not wait for it.
    handler: (_request, reply, path, replyOptions) => void reply.from(path, replyOptions),
    replyOptions: {
      getUpstream: () => 'http://app',
      rewriteRequestHeaders: (request) => ({
        [EXCHANGE]: (request as unknown as FastifyRequest).scalerExchange,
      }),
    },
  }
  await fastify.register(httpProxy, proxy)

  /** Replaces undici's `request`. The exchange sends the response itself, so no callback is called. */
  function send(request: { headers: { [EXCHANGE]: Exchange }; body: unknown }): void {
    request.headers[EXCHANGE].send(request.body instanceof Readable ? request.body : undefined)
  }

  function preHandler(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const upgrade = upgradeOf(request.raw)
    if (upgrade) return passUpgrade(context, reply, upgrade)
    const exchange = new Exchange(context, reply)
    request.scalerExchange = exchange
    const refuse = (reason: unknown): void => {
      const error = asError(reason)
      exchange.session.meter?.failed(error)
      closeIfUnread(reply)
      done(error)
    }
    // A request to an awake target needs no promise, unless `resolve` returns one.
    try {
      const found = exchange.session.locate()
      if (typeof found === 'string') admit(exchange, reply, done)
      else found.then(() => admit(exchange, reply, done)).catch(refuse)
    } catch (error) {
      refuse(error)
    }
  }

  function admit(exchange: Exchange, reply: FastifyReply, done: () => void): void {
    const { session } = exchange
    exchange.limit()
    const go = (): void => {
      options.onLease?.(session.request, session.lease!, session.key!)
      done()
    }
    if (session.tryAcquire()) return go()
    wake(context, session, reply)
      .then((lease) => lease && go())
      .catch((reason: unknown) => {
        const error = asError(reason)
        exchange.fail(error, isAsleep(error) ? 'rejected' : undefined)
      })
  }

  context.open.closeWith(fastify, options.closeGrace ?? CLOSE_GRACE, context.clock, () => pools.destroy())
}
