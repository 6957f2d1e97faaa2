import { App } from '@fp/sdk/wire'
import type { Api } from '../../api/api.ts'
import { clientGone } from '../client-gone.ts'
import { AppParams } from '../params.ts'
import type { AppViews } from '../apps/ports.ts'
import { appToWire, type AppUrl } from '../apps/wire.ts'
import type { ActivationService } from './service.ts'

export interface ActivationRoutesDeps {
  readonly activation: ActivationService
  readonly views: AppViews
  readonly appUrl: AppUrl
}

const tags = ['apps']

export function registerActivationRoutes(app: Api, deps: ActivationRoutesDeps): void {
  const { activation, views, appUrl } = deps

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
      await activation.sleep(userId, request.params.app_id)
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
      await activation.wake(userId, request.params.app_id, clientGone(reply))
      return appToWire(await views.one(userId, request.params.app_id), appUrl)
    },
  )
}
