import type { Events } from '../../events.ts'
import { lineText } from '../../runtime/logs.ts'
import type { RuntimeLogs } from '../../runtime/runtime.ts'
import type { AppService } from '../app-records/service.ts'
import type { Background } from '../background.ts'

/** Notices about a user's database are written to the logs of this many of the user's newest apps. */
const NOTED_APPS = 100

export interface LogServiceDeps {
  readonly apps: Pick<AppService, 'find' | 'list'>
  readonly runtime: { readonly logs: RuntimeLogs }
  readonly events: Events
  readonly background: Background
}

export interface LogService {
  /** The newest lines of the app's log, oldest first. Throws FP_APP_NOT_FOUND. */
  tail(ownerId: string, appId: string, lines: number): Promise<string[]>
  close(): void
}

/** Reads the logs of apps, and writes the platform's notices to their owners there. */
export function createLogService({ apps, runtime, events, background }: LogServiceDeps): LogService {
  const noteInApps = ({ userId, message }: { userId: string; message: string }): void =>
    background.run(userId, "write to the logs of a user's apps", async () => {
      const owned = await apps.list(userId, { limit: NOTED_APPS, before: undefined })
      await Promise.all(owned.map(({ appId }) => runtime.logs.note(appId, message)))
    })
  events.on('database.notice', noteInApps)

  return {
    async tail(ownerId, appId, lines) {
      await apps.find(ownerId, appId)
      return (await runtime.logs.tail(appId, { lines })).map(lineText)
    },
    close: () => void events.off('database.notice', noteInApps),
  }
}
