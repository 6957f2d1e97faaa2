import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { collectDefaultMetrics, Counter, Registry } from 'prom-client'
import { FpError } from '../errors.ts'
import { PEER_HEADER } from '../gate/forwarded.ts'
import { trusts } from '../ingress/trust.ts'
import { bearerToken } from './session-token.ts'
import { notFound } from './errors.ts'

export interface MetricsOptions {
  /** Where the API's own metrics go. */
  readonly registry: Registry
  /** All metrics of the platform. */
  readonly read: () => Promise<string>
  /** The token that is needed to read the metrics. Undefined: programs of this machine may read them without one. */
  readonly token: string | undefined
  /** Whether apps share this machine's loopback. Then nobody may read without a token, as the reader may be an app. */
  readonly appsOnLoopback: boolean
}

/** A registry with the default metrics of the process and its event loop, under their usual names. */
export function createRegistry(process: 'gate' | 'api'): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, labels: { process } })
  return registry
}

/**
 * Merges several texts in Prometheus' format. As the format requires, the series of one metric are together, after one
 * description. https://prometheus.io/docs/instrumenting/exposition_formats/
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
      // The path itself would make new series for the requests of scanners, and the console has a route for each of its files.
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

/** Uses the peer's address of the connection to the gate, which the gate sends in a header. */
function isOfThisMachine({ headers }: FastifyRequest): boolean {
  const [address = '', forwarded] = String(headers[PEER_HEADER] ?? '').split(' ')
  // If the request was forwarded, the loopback peer is a proxy, and the client can be anyone.
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

/** Compares in constant time. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(token))
}
