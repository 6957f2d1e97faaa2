import { EventEmitter } from 'node:events'
import type { AppFailureReport } from './runtime/runtime.ts'
import type { TargetId } from './runtime/targets.ts'

/** News of one target. It need not be the one that is live: a deployment's new one and those retired are heard of too. */
export type TargetNews = TargetId

/** News travels up through these; calls only go down. What other replicas do to apps is heard of too: see `apps/news-store.ts`. */
export interface PlatformEvents {
  /** The app answers with another version or another environment from now on, or is gone: routes are looked up anew. */
  'app.routed': [{ appId: string }]
  'app.deleted': [{ appId: string }]
  /** Its owner wants it asleep: each replica gives up what it has of it, and the last one puts it to sleep. */
  'app.sleepAsked': [{ appId: string }]
  /** News of other replicas may have been missed: what is remembered of apps' routes no longer counts. */
  'apps.missed': []
  /** A target of the app could not start, or ended without being told to. */
  'app.failed': [TargetNews & { failure: AppFailureReport }]
  'app.woke': [TargetNews]
  'app.slept': [TargetNews]
  'deployment.live': [{ appId: string; version: number; deploymentId: string }]
}

export type Events = EventEmitter<PlatformEvents>

export function createEvents(): Events {
  return new EventEmitter<PlatformEvents>().setMaxListeners(100)
}
