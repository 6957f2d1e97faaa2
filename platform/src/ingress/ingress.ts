import type { Activator } from '@fp/scaler'
import {
  answerFavicon,
  answerMonitors,
  routableUrl,
  scalerProxy,
  showLoadingPage,
  type ResolveTarget,
  type TrustProxy,
} from '@fp/scaler/http'
import Fastify, {
  LogController,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerFactory,
} from 'fastify'
import { METHODS } from 'node:http'
import { Readable } from 'node:stream'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { FpError } from '../errors.ts'
import { createStreamLimit } from '../front/stream-limit.ts'
import { whenClosed } from '../front/when-closed.ts'
import { WITHOUT_SCHEMAS } from '../plugins/no-schemas.ts'
import { parseTargetKey } from '../runtime/targets.ts'
import { createRequestIds } from '../request-id.ts'
import { countDecisions } from '../runtime/scaler-metrics.ts'
import { errorBody, errorPage, logFailure, publicError, wantsPage } from './failures.ts'
import { appIdOf } from './host.ts'
import { CLIENT_PREFIX } from './client-prefix.ts'
import { loadingPage, WAKE_EVENTS_PATH, wakeEvents } from './loading-page.ts'
import type { RouteTable } from './routes.ts'

export interface IngressDeps {
  readonly activator: Activator
  readonly routes: RouteTable
  readonly appDomain: string
  readonly trustProxy: TrustProxy
  /** ms until an app's response must begin. */
  readonly responseTimeout: number
  readonly serverFactory: FastifyServerFactory
  /** Where the metrics go. */
  readonly registry: Registry
  readonly log: Logger
}

/** The instance that serves every app's host. It shares no hook, parser or plugin with the API. */
export async function createIngress(deps: IngressDeps): Promise<FastifyInstance> {
  const { activator, routes, appDomain, log } = deps
  const requestId = createRequestIds(deps.trustProxy)
  const fastify = Fastify({
    serverFactory: deps.serverFactory,
    schemaController: WITHOUT_SCHEMAS,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    rewriteUrl: routableUrl,
    loggerInstance: log,
    // By default Fastify makes a logger for each request, whose bindings are not redacted. Log lines here name their request.
    childLoggerFactory: () => log as never,
    // Requests that are refused before a route is found: their path is not valid UTF-8.
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id)
      answerError(error, request as never, reply as never)
    },
  }) as unknown as FastifyInstance

  function answerError(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const failure = publicError(error)
    if (failure.statusCode >= 500)
      logFailure(log, error, {
        message: failure.message,
        request: { request_id: request.id, host: request.host },
      })
    reply.code(failure.statusCode).headers({ ...failure.headers, 'cache-control': 'no-store' })
    if (wantsPage(request)) return reply.type('text/html; charset=utf-8').send(errorPage(failure, request.id))
    return reply.type('application/json; charset=utf-8').send(errorBody(failure, request.id))
  }

  const resolve: ResolveTarget = (request, retired) => {
    const appId = appIdOf(request.headers.host, appDomain)
    if (!appId) throw new FpError('FP_APP_NOT_FOUND', 'There is no app at this address.')
    return routes.keyOf(appId, retired)
  }

  fastify.addHook('onRequest', (request, reply, done) => {
    // So the app's logs and the platform's use the same request id.
    reply.header('x-request-id', request.id)
    done()
  })

  fastify.setErrorHandler(answerError)
  fastify.setNotFoundHandler((request) => {
    throw new FpError('FP_METHOD_NOT_ALLOWED', `Apps are not called with ${request.method}.`)
  })

  const streams = createStreamLimit()
  fastify.get(WAKE_EVENTS_PATH, async (request, reply) => {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort(new Error('The client has gone away.')))
    const key = await resolve(request.raw)
    whenClosed(reply.raw, streams.open(parseTargetKey(key).appId))
    reply.headers({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    return reply.send(Readable.from(wakeEvents(activator, key, gone.signal)))
  })

  await fastify.register(scalerProxy, {
    activator,
    resolve,
    wakePolicies: [answerMonitors(), answerFavicon(), showLoadingPage()].map(countDecisions(deps.registry)),
    loadingPage,
    wakeHeader: 'x-fp-wake',
    ownHeaders: (request) => ({ 'x-request-id': requestId(request) }),
    trustProxy: deps.trustProxy,
    clientPrefix: CLIENT_PREFIX,
    httpMethods: METHODS.filter((method) => method !== 'CONNECT'),
    responseTimeout: deps.responseTimeout,
  })
  await fastify.ready()
  return fastify
}
