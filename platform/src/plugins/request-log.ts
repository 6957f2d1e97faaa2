import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** Logs one line per request, without query string and headers, which may contain secrets. */
export const requestLogPlugin = fp(
  async (app: FastifyInstance) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.header('x-request-id', request.id)
    })
    app.addHook('onResponse', async (request, reply) => {
      const isQuiet = reply.statusCode < 400 && !request.url.startsWith('/api/')
      request.log[isQuiet ? 'debug' : 'info'](
        {
          method: request.method,
          path: request.url.split('?', 1)[0]?.slice(0, 500),
          status: reply.statusCode,
          ms: Math.round(reply.elapsedTime * 10) / 10,
          user_id: request.foundSession?.user.userId,
        },
        'request',
      )
    })
  },
  { name: 'request-log' },
)
