import type { Activator } from '@fp/scaler'
import type { AppChanges } from '../app-changes.ts'
import type { Log } from '../logger.ts'
import type { Directory } from '../modules/app-records/directory.ts'

export interface SleepRequestDeps {
  readonly changes: AppChanges
  readonly route: Directory['route']
  readonly activator: Pick<Activator, 'sleep' | 'stats'>
  readonly log: Log
}

/** When an owner asks for sleep of an app that several gates use, each releases its target lock; the last puts it to sleep. */
export function sleepWhenAsked({ changes, route, activator, log }: SleepRequestDeps): Disposable {
  async function sleep(appId: string): Promise<void> {
    const key = (await route(appId))?.key
    if (key && (activator.stats(key)?.phase ?? 'asleep') !== 'asleep') await activator.sleep(key)
  }
  const asked = ({ appId }: { appId: string }): void =>
    void sleep(appId).catch((error: unknown) =>
      log.error({ err: error, app_id: appId }, 'could not put an app to sleep'),
    )
  changes.on('sleepAsked', asked)
  return { [Symbol.dispose]: () => void changes.off('sleepAsked', asked) }
}
