import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { rateHeaders, type ApiRates } from '../front/rates.ts'
import { USER_HEADER } from '../gate/forwarded.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How many ordinary requests one request to this route counts as. */
    cost?: number
  }
}

/** Charges each request its route's cost once the user is known. The gate has charged 1 before, to refuse floods early. */
export const rateLimitPlugin = fp(
  async (app: FastifyInstance, { rates }: { rates: ApiRates }) => {
    app.addHook('onRequest', async (request, reply) => {
      const { raw, foundSession, routeOptions } = request
      const userId = foundSession?.user.userId
      // The gate does not know sessions. This header tells it whose session this request had.
      if (foundSession) reply.header(USER_HEADER, `${userId} ${foundSession.sessionId}`)
      if (routeOptions.url === undefined) return
      const { cost = 1 } = routeOptions.config
      const taken = rates.take(raw, cost, userId)
      if (!taken) return
      reply.headers(rateHeaders(taken))
      if (taken.wait === 0) return
      throw new FpError(
        'FP_TOO_MANY_REQUESTS',
        `Too many requests ${taken.payer.from}${cost > 1 ? `: this one counts as ${cost}` : ''}. Wait ${taken.wait} s, then send them more slowly.`,
        { headers: { 'retry-after': String(taken.wait) } },
      )
    })
  },
  { name: 'rate-limit', dependencies: ['auth'] },
)
