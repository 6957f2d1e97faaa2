import { App, LogLines, LogQuery, ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import type { Api } from '../../api.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { clientGone } from '../client-gone.ts'
import { AppParams } from '../params.ts'
import type { AppPower, AppViews } from './ports.ts'
import { appToWire, type AppUrl } from './wire.ts'

export interface PowerRoutesDeps {
  readonly power: AppPower
  readonly views: AppViews
  readonly appUrl: AppUrl
}

const tags = ['apps']
const DEFAULT_LINES = 200

export function registerPowerRoutes(app: Api, deps: PowerRoutesDeps): void {
  const { power, views, appUrl } = deps

  app.post(
    '/api/apps/:app_id/sleep',
    {
      schema: {
        tags,
        operationId: 'sleepApp',
        summary: 'Put an app to sleep now',
        description: 'An app that is answering requests stays awake; its status says so.',
        params: AppParams,
        response: { 200: App },
      },
    },
    async (request) => {
      const { userId } = request.user
      await power.sleep(userId, request.params.app_id)
      return appToWire(await views.one(userId, request.params.app_id), appUrl)
    },
  )

  app.post(
    '/api/apps/:app_id/wake',
    {
      config: { cost: 2 },
      schema: {
        tags,
        operationId: 'wakeApp',
        summary: 'Wake an app and wait until it answers',
        description: 'FP_APP_CRASHED with the failure in the details when it cannot start.',
        params: AppParams,
        response: { 200: App },
      },
    },
    async (request, reply) => {
      const { userId } = request.user
      await power.wake(userId, request.params.app_id, clientGone(reply))
      return appToWire(await views.one(userId, request.params.app_id), appUrl)
    },
  )

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
      return power.call(request.user.userId, request.params.app_id, request.body, caller)
    },
  )

  app.get(
    '/api/apps/:app_id/logs',
    {
      config: { cost: 2 },
      schema: {
        tags,
        operationId: 'getLogs',
        summary: 'The newest lines an app wrote',
        description: 'Of its standard output and error, oldest first.',
        params: AppParams,
        querystring: LogQuery,
        response: { 200: LogLines },
      },
    },
    async (request) => ({
      lines: await power.logs(
        request.user.userId,
        request.params.app_id,
        request.query.lines ?? DEFAULT_LINES,
      ),
    }),
  )
}
