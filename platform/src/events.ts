import { EventEmitter } from 'node:events'
import type { AppFailureReport } from './runtime/runtime.ts'
import type { TargetId } from './runtime/targets.ts'

/** News of one target. It need not be the one that is live: a deployment's new one and those retired are heard of too. */
export type TargetNews = TargetId

/** Lower layers tell upper ones what happened by these events; calls go the other way. Changes by other replicas arrive too: see `apps/change-stream.ts`. */
export interface PlatformEvents {
  /** The app answers with another version or another environment from now on, or is gone: routes are looked up anew. */
  'app.routed': [{ appId: string }]
  'app.deleted': [{ appId: string }]
  /** Its owner wants it asleep: each replica gives up what it has of it, and the last one puts it to sleep. */
  'app.sleepAsked': [{ appId: string }]
  /** Changes by other replicas may have been lost: cached routes of apps are no longer valid. */
  'apps.changesLost': []
  /** A target of the app could not start, or ended without being told to. */
  'app.failed': [TargetNews & { failure: AppFailureReport }]
  /** What happens to a target that starts, in its owner's words. */
  'app.progress': [TargetNews & { message: string }]
  'app.woke': [TargetNews]
  'app.slept': [TargetNews]
  /** What a user must know of the user's database. */
  'database.notice': [{ userId: string; message: string }]
  'deployment.live': [{ appId: string; version: number; deploymentId: string }]
}

export type Events = EventEmitter<PlatformEvents>

export function createEvents(): Events {
  return new EventEmitter<PlatformEvents>().setMaxListeners(100)
}
