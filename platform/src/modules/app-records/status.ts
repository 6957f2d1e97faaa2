import type { AppStatus } from '@fp/sdk/wire'
import type { TargetPhase } from '@fp/scaler'
import type { AppSummary } from './types.ts'

/** The status of an app. `phase` is that of its live target. */
export function statusOf(app: AppSummary, deploying: boolean, phase: TargetPhase): AppStatus {
  if (deploying) return 'deploying'
  if (!app.live) return app.lastFailure ? 'error' : 'draft'
  // A new start is under way. Its result will count for more than that of the last one.
  if (phase === 'waking') return 'waking'
  if (phase !== 'asleep') return 'running'
  return hasFailedSince(app) ? 'error' : 'sleeping'
}

/** Whether the live target has failed since it last became ready or was put to sleep: one that crashed may have restarted. */
function hasFailedSince({ lastFailure, startedAt, sleptAt }: AppSummary): boolean {
  return lastFailure !== null && [startedAt, sleptAt].every((time) => time === null || lastFailure.at >= time)
}
