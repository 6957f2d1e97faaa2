import { LogLines, LogQuery } from '@fp/sdk/wire'
import type { Api } from '../../api/api.ts'
import { AppParams } from '../params.ts'
import type { LogService } from './service.ts'

const DEFAULT_LINES = 200

export function registerLogRoutes(app: Api, deps: { logs: LogService }): void {
  app.get(
    '/api/apps/:app_id/logs',
    {
      config: { cost: 2 },
      schema: {
        tags: ['apps'],
        operationId: 'getLogs',
        summary: 'The newest lines an app wrote',
        description: 'Of its standard output and error, oldest first.',
        params: AppParams,
        querystring: LogQuery,
        response: { 200: LogLines },
      },
    },
    async (request) => ({
      lines: await deps.logs.tail(
        request.user.userId,
        request.params.app_id,
        request.query.lines ?? DEFAULT_LINES,
      ),
    }),
  )
}
