import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { collectDefaultMetrics, Counter, Registry } from 'prom-client'
import { FpError } from '../errors.ts'
import { PEER_HEADER } from '../gate/forwarded.ts'
import { trusts } from '../ingress/trust.ts'
import { bearerToken } from './auth.ts'
import { notFound } from './errors.ts'

export interface MetricsOptions {
  /** Where the API's own metrics go. */
  readonly registry: Registry
  /** All metrics of the platform. */
  readonly read: () => Promise<string>
  /** Who has it may read. Undefined: programs of this machine may. */
  readonly token: string | undefined
  /** Whether apps share this machine's loopback: then nobody reads without a token, for it may be an app. */
  readonly appsOnLoopback: boolean
}

/** With the metrics of the process and of its event loop, under the names that ready-made dashboards know. */
export function createRegistry(process: 'gate' | 'api'): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, labels: { process } })
  return registry
}

/**
 * Several texts in Prometheus' format as one: the series of one metric stand together, after one description, as the format
 * asks for. https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function mergeMetrics(texts: readonly string[]): string {
  const families = new Map<string, { head: string[]; series: string[] }>()
  for (const text of texts) {
    let family: { head: string[]; series: string[] } | undefined
    for (const line of text.split('\n')) {
      if (line === '') continue
      const [, name] = /^# (?:HELP|TYPE) (\S+)/.exec(line) ?? []
      if (name === undefined) {
        family?.series.push(line)
        continue
      }
      family = families.get(name)
      if (!family) families.set(name, (family = { head: [], series: [] }))
      if (!family.head.includes(line)) family.head.push(line)
    }
  }
  return [...families.values()].map(({ head, series }) => [...head, ...series, ''].join('\n')).join('\n')
}

/** `/metrics` in Prometheus' text format, and the count of the API's own requests. Register before the routes. */
export const metricsPlugin = fp(
  async (app: FastifyInstance, { registry, read, token, appsOnLoopback }: MetricsOptions) => {
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
        .send(await read())
    })
  },
  { name: 'metrics' },
)

const isLoopback = trusts(['127.0.0.0/8', '::1'])

/** The gate says who has opened the connection to it. */
function isOfThisMachine({ headers }: FastifyRequest): boolean {
  const [address = '', forwarded] = String(headers[PEER_HEADER] ?? '').split(' ')
  // The loopback peer is then a proxy, and its client anyone.
  return forwarded === undefined && isLoopback(address)
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
