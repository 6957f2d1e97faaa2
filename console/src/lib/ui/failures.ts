import { APP_FAILURES, type ErrorInfo } from '@fp/sdk/errors'
import type { App, AppFailure } from '@fp/sdk/wire'
import { clockTime } from './format.ts'

/** ms for which a list still tells of an app that started again. */
const NEWS = 24 * 60 * 60 * 1000
const FAILURES: Readonly<Record<string, ErrorInfo>> = APP_FAILURES

/** Whether the app ran and ended, rather than did not start. */
export const isEnd = (failure: AppFailure): boolean => FAILURES[failure.code]?.isEnd ?? false

/** "Ended 12:41", "Start failed 12 Mar 14:02". */
export function failedAt(failure: AppFailure, now: number): string {
  return `${isEnd(failure) ? 'Ended' : 'Start failed'} ${clockTime(failure.at, now)}`
}

/** What a list of apps says of a failure; undefined when there is none, or it is an old one that the app got over. */
export function failureNote({ last_failure: failure, status }: App, now: number): string | undefined {
  if (!failure || (status !== 'error' && now - Date.parse(failure.at) > NEWS)) return undefined
  return `${failedAt(failure, now)}: ${failure.message}`
}
