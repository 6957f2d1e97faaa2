import { Database } from '@fp/sdk/wire'
import type { Api } from '../../api/api.ts'
import type { DatabaseService } from './service.ts'

export interface DatabaseRoutesDeps {
  readonly databases: DatabaseService
  readonly databaseLimitBytes: number
}

export function registerDatabaseRoutes(app: Api, deps: DatabaseRoutesDeps): void {
  app.get(
    '/api/database',
    {
      schema: {
        tags: ['database'],
        operationId: 'getDatabase',
        summary: 'Your database: what it takes, and whether it is full',
        description:
          'One database for all apps of a user. Measured every 20 seconds, every 2 while it grows. When it is full, writes are refused; reads and deletes work.',
        response: { 200: Database },
      },
    },
    async (request) => {
      const state = await deps.databases.stateOf(request.user.userId)
      return {
        name: state?.name ?? null,
        size_bytes: state?.usage?.bytes ?? 0,
        limit_bytes: deps.databaseLimitBytes,
        measured_at: state?.usage?.measuredAt.toISOString() ?? null,
        state: state?.full ? ('full' as const) : ('ok' as const),
        message: state?.full ?? null,
      }
    },
  )
}
