import type { Api } from '../../api/api.ts'
import type { AppService } from './service.ts'

/**
 * Answers FP_APP_NOT_FOUND on every route with an `app_id` that is not the caller's, before the body is read. So an app of
 * another user cannot be told from one that does not exist, whatever else is wrong with the request.
 */
export function checkOwnership(app: Api, apps: Pick<AppService, 'find'>): void {
  app.addHook('onRequest', async (request) => {
    const { app_id: appId } = request.params as { app_id?: string }
    if (appId !== undefined) await apps.find(request.user.userId, appId)
  })
}
