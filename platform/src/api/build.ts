import helmet from '@fastify/helmet'
import Fastify, { LogController } from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Logger } from 'pino'
import type { Api } from './api.ts'
import { MAX_PARSED_HEAD } from '../front/client-error.ts'
import type { Config } from '../config.ts'
import { FpError } from '../errors.ts'
import type { GateStatus } from '../gate/gate.ts'
import { trusts } from '../ingress/trust.ts'
import type { ApiRates } from '../front/rates.ts'
import { createJsonThread } from '../json/thread.ts'
import type { UsersService } from '../modules/users/service.ts'
import { authPlugin } from '../plugins/auth.ts'
import { BODY_LIMITS } from '../plugins/body-limits.ts'
import { compressionPlugin } from '../plugins/compression.ts'
import { consolePlugin } from '../plugins/console.ts'
import { errorsPlugin, sendError } from '../plugins/errors.ts'
import type { Lag } from '../plugins/event-loop.ts'
import { registerHealth, type ReadyCheck } from '../plugins/health.ts'
import { jsonAnswersPlugin } from '../plugins/json-answers.ts'
import { jsonBodiesPlugin } from '../plugins/json-bodies.ts'
import { metricsPlugin, type MetricsOptions } from '../plugins/metrics.ts'
import { openapiPlugin } from '../plugins/openapi.ts'
import { isUnsafe } from '../plugins/origin.ts'
import { rateLimitPlugin } from '../plugins/rate-limit.ts'
import { requestLogPlugin } from '../plugins/request-log.ts'
import { LAZY_SCHEMAS } from '../plugins/schemas.ts'
import type { SessionCookie } from '../plugins/session-cookie.ts'
import { sessionIdOf } from '../plugins/session-token.ts'
import { createRequestIds } from '../request-id.ts'

export interface ApiDeps {
  readonly config: Pick<Config, 'publicUrl' | 'consoleDir' | 'trustProxy' | 'metricsToken'>
  readonly logger: Logger
  readonly users: Pick<UsersService, 'authenticate'>
  readonly sessionCookie: SessionCookie
  readonly checks: Readonly<Record<string, ReadyCheck>>
  readonly gateStatus: () => Promise<GateStatus>
  readonly lag: Lag
  readonly rates: ApiRates
  readonly metrics: Pick<MetricsOptions, 'registry' | 'read'>
  /** Called at each write request of a logged-in user. */
  readonly onWrite?: () => void
  /** Whether requests from loopback may come from an app. */
  readonly appsOnLoopback?: boolean
  /** The routes of the modules. */
  readonly registerModules?: (app: Api) => void
}

/** Limit for the head of a request from the gate: a head that the gate accepts, and what the gate adds to it. */
const MAX_PASSED_HEAD = MAX_PARSED_HEAD + 8 * 1024

/** Builds the API and the console from all their plugins. */
export async function buildApi(deps: ApiDeps): Promise<Api> {
  const { config } = deps
  const isProxy = trusts(config.trustProxy)
  const secure = config.publicUrl.startsWith('https:')
  const cookie = deps.sessionCookie
  const app = Fastify({
    loggerInstance: deps.logger as never,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    // The gate has removed an `x-request-id` that does not come from a trusted proxy.
    genReqId: createRequestIds(() => true),
    requestIdHeader: false,
    trustProxy: (address, hop) => hop === 0 || isProxy(address),
    // The gate enforces the limits: it has read the whole head, and it limits how long a body may take.
    http: { maxHeaderSize: MAX_PASSED_HEAD },
    requestTimeout: 0,
    keepAliveTimeout: 0,
    bodyLimit: BODY_LIMITS.small,
    schemaController: LAZY_SCHEMAS,
    return503OnClosing: false,
    // Requests that are refused before a route is found: their path is not valid UTF-8.
    frameworkErrors: (error, request, reply) =>
      sendError(request, reply, new FpError('FP_BAD_REQUEST', `The address is not valid: ${error.message}.`)),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as Api
  // The API accepts only JSON, so that forms and plain text from foreign pages never reach a handler.
  app.removeContentTypeParser('text/plain')

  // If an upload is not read to its end, the gate closes the client's connection. If the API closed its connection to the
  // gate first, the gate could fail before it has read the answer.
  app.addHook('onSend', async (_request, reply) => void reply.removeHeader('connection'))

  await app.register(errorsPlugin)
  await app.register(requestLogPlugin)
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    referrerPolicy: { policy: 'strict-origin-when-cross-origin' },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: secure && { maxAge: 31_536_000, includeSubDomains: false },
  })
  await app.register(authPlugin, {
    authenticate: deps.users.authenticate,
    sessionIdOf,
    cookie,
    publicUrl: config.publicUrl,
  })
  app.addHook('onRequest', async (request) => {
    if (request.foundSession && isUnsafe(request.method)) deps.onWrite?.()
  })
  await app.register(rateLimitPlugin, { rates: deps.rates })
  const thread = createJsonThread()
  app.addHook('onClose', () => thread.close())
  await app.register(jsonBodiesPlugin, { thread })
  await app.register(jsonAnswersPlugin, { thread })
  await app.register(compressionPlugin)
  await app.register(metricsPlugin, {
    ...deps.metrics,
    token: config.metricsToken,
    appsOnLoopback: deps.appsOnLoopback ?? false,
  })
  await app.register(openapiPlugin, { publicUrl: config.publicUrl, cookieName: cookie.name })

  registerHealth(app as never, { checks: deps.checks, lag: deps.lag, gateStatus: deps.gateStatus })
  deps.registerModules?.(app)
  await app.register(consolePlugin, { dir: config.consoleDir })

  // The gate has limited the number of header lines, and adds some.
  app.server.maxHeadersCount = 0
  await app.ready()
  return app
}
