import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { collectDefaultMetrics, Counter, Registry } from 'prom-client'
import { FpError } from '../errors.ts'
import { trusts } from '../ingress/trust.ts'
import { bearerToken } from './auth.ts'
import { notFound } from './errors.ts'

export interface MetricsOptions {
  readonly registry: Registry
  /** Who has it may read. Undefined: programs of this machine may. */
  readonly token: string | undefined
  /** Whether apps share this machine's loopback: then nobody reads without a token, for it may be an app. */
  readonly appsOnLoopback: boolean
}

/** With the metrics of the process and of its event loop, under the names that ready-made dashboards know. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** `/metrics` in Prometheus' text format, and the count of the API's own requests. Register before the routes. */
export const metricsPlugin = fp(
  async (app: FastifyInstance, { registry, token, appsOnLoopback }: MetricsOptions) => {
    const requests = new Counter({
      name: 'fp_api_requests_total',
      help: 'Requests that the API has answered, by route; what is not the API is "other".',
      labelNames: ['method', 'route', 'status'],
      registers: [registry],
    })
    app.addHook('onResponse', async (request, reply) => {
      const { url } = request.routeOptions
      // The path itself would be a new series for each scanner; the console has a route for each of its files.
      const route = url?.startsWith('/api/') ? url : 'other'
      requests.inc({ method: request.method, route, status: reply.statusCode })
    })

    app.get('/metrics', { schema: { hide: true } as object }, async (request, reply) => {
      if (token === undefined) {
        if (appsOnLoopback || !isOfThisMachine(request)) throw notFound(request)
      } else {
        const given = bearerToken(request.headers.authorization)
        if (given === undefined || !isSame(given, token)) throw wrongToken()
      }
      return reply
        .header('cache-control', 'no-store')
        .type(registry.contentType)
        .send(await registry.metrics())
    })
  },
  { name: 'metrics' },
)

const isLoopback = trusts(['127.0.0.0/8', '::1'])
/** What a proxy in front adds: the loopback peer is then the proxy, and its client anyone. */
const FORWARDED = /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/

function isOfThisMachine({ raw }: FastifyRequest): boolean {
  return (
    isLoopback(raw.socket.remoteAddress ?? '') && !Object.keys(raw.headers).some((it) => FORWARDED.test(it))
  )
}

function wrongToken(): FpError {
  return new FpError(
    'FP_UNAUTHENTICATED',
    'Send the token of FP_METRICS_TOKEN as `Authorization: Bearer …`.',
    {
      headers: { 'www-authenticate': 'Bearer realm="fp metrics"' },
    },
  )
}

/** In a time that says nothing of where they differ. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(token))
}
