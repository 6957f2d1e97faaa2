import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { createStreamLimit } from '../../front/stream-limit.ts'
import { whenClosed } from '../../front/when-closed.ts'
import { eventStream } from '../sse.ts'
import type { EventStreamService } from './service.ts'

/**
 * How long a stream lasts, in ms. The client then opens another one and goes on, unless the person has logged out or may not log in any
 * more.
 */
const LIFETIME = 5 * 60_000

/** What a client sends when it connects again. */
const LastEventId = Type.Object({ 'last-event-id': Type.Optional(Type.String({ maxLength: 40 })) })

export function registerEventStreamRoutes(
  app: Api,
  { follow }: EventStreamService,
  lifetime = LIFETIME,
): void {
  const streams = createStreamLimit()

  app.get(
    '/api/events',
    {
      schema: {
        tags: ['events'],
        operationId: 'watchEvents',
        summary: 'Follow what changes among your apps',
        description:
          'Server-sent events. A stream ends after five minutes: open the next one, with `Last-Event-ID`. `app`: an App with its newest state. `app.deleted`: its `app_id`. `deployment`: a Deployment. `reset`: the first event, and whenever changes may be missing: load what you show again. `Last-Event-ID` continues after the event with that `id`, at any replica; then there is a `reset` only if you were away for too long.',
        headers: LastEventId,
        response: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: Type.String() } } },
        },
      },
    },
    async (request, reply) => {
      const { userId } = request.user
      whenClosed(reply.raw, streams.open(userId))
      const lastEventId = request.headers['last-event-id']
      const stream = eventStream((signal) => follow(userId, { lastEventId, signal, lifetime }))
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream')
      return reply.send(stream as never)
    },
  )
}
