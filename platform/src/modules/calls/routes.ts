import { ProxyAnswer, ProxyBody, type CallStreamEvent } from '@fp/sdk/wire'
import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { createStreamLimit } from '../../front/stream-limit.ts'
import { whenClosed } from '../../front/when-closed.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { clientGone } from '../client-gone.ts'
import { AppParams } from '../params.ts'
import { eventStream, type ServerSentEvent } from '../sse.ts'
import type { CallService } from './service.ts'

const tags = ['apps']

export function registerCallRoutes(app: Api, { calls }: { calls: CallService }): void {
  const streams = createStreamLimit()

  app.post(
    '/api/apps/:app_id/proxy',
    {
      bodyLimit: BODY_LIMITS.call,
      config: { cost: 2 },
      schema: {
        tags,
        operationId: 'callApp',
        summary: 'Send a request to an app',
        description:
          'Wakes it if it sleeps. At most 1 MB of the answer is shown, as text, or in base64 where it is none. Headers of one connection and `host` are not passed on.',
        params: AppParams,
        body: ProxyBody,
        response: { 200: ProxyAnswer },
      },
    },
    async (request, reply) => {
      const caller = { address: request.ip, scheme: request.protocol, gone: clientGone(reply) }
      return calls.call(request.user.userId, request.params.app_id, request.body, caller)
    },
  )

  app.post(
    '/api/apps/:app_id/proxy/stream',
    {
      bodyLimit: BODY_LIMITS.call,
      config: { cost: 2 },
      schema: {
        tags,
        operationId: 'streamCall',
        summary: 'Send a request to an app and follow its answer',
        description:
          'Server-sent events: `head` with the status and the headers, `body` for each piece as it arrives, then `end` or `error`. `data` is a CallStreamEvent. At most 1 MB of the body is shown, for up to 10 minutes.',
        params: AppParams,
        body: ProxyBody,
        response: {
          200: {
            description: 'CallStreamEvents',
            content: { 'text/event-stream': { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) => {
      const { userId } = request.user
      whenClosed(reply.raw, streams.open(userId))
      const caller = { address: request.ip, scheme: request.protocol, gone: clientGone(reply) }
      // Errors that are answered as JSON are thrown here, before the stream begins.
      const parts = await calls.stream(userId, request.params.app_id, request.body, caller)
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream')
      return reply.send(eventStream(() => toEvents(parts)) as never)
    },
  )
}

async function* toEvents(parts: AsyncIterable<CallStreamEvent>): AsyncGenerator<ServerSentEvent> {
  let number = 0
  for await (const part of parts) yield { id: String(++number), event: part.event, data: part }
}
