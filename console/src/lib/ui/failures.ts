import { APP_FAILURES, type ErrorInfo } from '@fp/sdk/errors'
import type { App, AppFailure } from '@fp/sdk/wire'
import { clockTime } from './format.ts'

/** ms for which a list shows the failure of an app that has started again. */
const NEWS = 24 * 60 * 60 * 1000
const FAILURES: Readonly<Record<string, ErrorInfo>> = APP_FAILURES

/** Whether the app had started and then ended. */
export const isEnd = (failure: AppFailure): boolean => FAILURES[failure.code]?.isEnd ?? false

/** "Ended 12:41", "Start failed 12 Mar 14:02". */
export function failedAt(failure: AppFailure, now: number): string {
  return `${isEnd(failure) ? 'Ended' : 'Start failed'} ${clockTime(failure.at, now)}`
}

/** The text about a failure in a list of apps. Undefined without a failure, or when it is old and the app has started again. */
export function failureNote({ last_failure: failure, status }: App, now: number): string | undefined {
  if (!failure || (status !== 'error' && now - Date.parse(failure.at) > NEWS)) return undefined
  return `${failedAt(failure, now)}: ${failure.message}`
}
