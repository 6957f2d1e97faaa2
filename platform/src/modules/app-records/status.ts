import type { AppStatus } from '@fp/sdk/wire'
import type { TargetPhase } from '@fp/scaler'
import type { AppSummary } from './types.ts'

/** One word for an app. `phase` is that of its live target. */
export function statusOf(app: AppSummary, deploying: boolean, phase: TargetPhase): AppStatus {
  if (deploying) return 'deploying'
  if (!app.live) return app.lastFailure ? 'error' : 'draft'
  // A new attempt is under way: what it comes to is more than what the last one came to.
  if (phase === 'waking') return 'waking'
  if (phase !== 'asleep') return 'running'
  return hasFailedSince(app) ? 'error' : 'sleeping'
}

/** Whether the live target failed after it last started well, or last fell asleep well: one that ended may have come back by itself. */
function hasFailedSince({ lastFailure, startedAt, sleptAt }: AppSummary): boolean {
  return lastFailure !== null && [startedAt, sleptAt].every((time) => time === null || lastFailure.at >= time)
}
