import { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import type { Api } from '../../api.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { clientGone } from '../client-gone.ts'
import { AppParams } from '../params.ts'
import type { CallService } from './service.ts'

export function registerCallRoutes(app: Api, { calls }: { calls: CallService }): void {
  app.post(
    '/api/apps/:app_id/proxy',
    {
      bodyLimit: BODY_LIMITS.call,
      config: { cost: 2 },
      schema: {
        tags: ['apps'],
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
}
