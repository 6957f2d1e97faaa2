import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { METHODS } from 'node:http'
import { Readable } from 'node:stream'
import { systemClock } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import { refuseBadRequests } from './bad-request.ts'
import { Exchange, type ExchangeContext } from './exchange.ts'
import type { ScalerProxyOptions } from './options.ts'
import { EndpointPools } from './pools.ts'
import { passBodies } from './request-body.ts'
import { tunnelUpgrades, type UpgradeContext } from './upgrades.ts'
import { wake } from './wake.ts'

const RESPONSE_TIMEOUT = 300_000
const WAKE_HEADER = 'x-scaler-wake'
const NONE = {}
const HTTP_METHODS = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')

/** Carries a request's exchange through @fastify/reply-from, which hands our headers on to our dispatcher. */
const EXCHANGE = Symbol('scaler.exchange')

declare module 'fastify' {
  interface FastifyRequest {
    scalerExchange: Exchange | null
  }
}

/**
 * Proxies every request of this Fastify instance to the target that `resolve` names, through a lease of the activator.
 * Errors reach the instance's own error handler as ScalerError. A request's body is not read before an endpoint is ready,
 * and its answer is written as it comes, past Fastify: `onSend` hooks do not see it, `onResponse` hooks do, and headers
 * that were set on the reply before are sent where the app does not set them.
 */
export async function scalerProxy(fastify: FastifyInstance, options: ScalerProxyOptions): Promise<void> {
  const { activator, resolve, refuseUpgrade, httpMethods = HTTP_METHODS } = options
  const { trustProxy = () => false, responseTimeout = RESPONSE_TIMEOUT } = options
  const pools = new EndpointPools(responseTimeout)
  const context: ExchangeContext & UpgradeContext = {
    activator,
    resolve,
    pools,
    trustProxy,
    responseTimeout,
    refuseUpgrade,
    policies: options.wakePolicies ?? [],
    loadingPage: options.loadingPage,
    clientPrefix: options.clientPrefix,
    wakeHeader: options.wakeHeader ?? WAKE_HEADER,
    ownHeaders: options.ownHeaders ?? (() => NONE),
    idleBodyTimeout: options.idleBodyTimeout ?? 0,
    clock: options.clock ?? systemClock,
  }
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
    // Both look at the path and take it apart; the one that is sent is the client's own.
    preRewrite: () => '/',
    // Without the reply as its result, Fastify need not watch for the end of it.
    handler: (_request, reply, path, replyOptions) => void reply.from(path, replyOptions),
    replyOptions: {
      getUpstream: () => 'http://app',
      rewriteRequestHeaders: (request) => ({
        [EXCHANGE]: (request as unknown as FastifyRequest).scalerExchange,
      }),
    },
  }
  await fastify.register(httpProxy, proxy)

  /** In place of undici's own: the exchange answers by itself, so nothing is called back. */
  function send(request: { headers: { [EXCHANGE]: Exchange }; body: unknown }): void {
    request.headers[EXCHANGE].send(request.body instanceof Readable ? request.body : undefined)
  }

  function preHandler(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const exchange = new Exchange(context, reply)
    request.scalerExchange = exchange
    // No promise on the way of a request to a target that is awake, unless `resolve` has one.
    try {
      const found = exchange.session.locate()
      if (typeof found === 'string') admit(exchange, reply, done)
      else found.then(() => admit(exchange, reply, done)).catch(done)
    } catch (error) {
      done(error as Error)
    }
  }

  function admit(exchange: Exchange, reply: FastifyReply, done: () => void): void {
    const { session } = exchange
    const go = (): void => {
      options.onLease?.(session.request, session.lease!, session.key!)
      done()
    }
    if (session.tryAcquire()) return go()
    wake(context, session, reply).then(
      (lease) => lease && go(),
      (error: Error) => exchange.fail(error, isAsleep(error) ? 'rejected' : 'held'),
    )
  }

  tunnelUpgrades(fastify, context)
  fastify.addHook('onClose', () => pools.destroy())
}

function isAsleep(error: Error): boolean {
  return error instanceof ScalerError && error.code === 'SCALER_ASLEEP'
}
