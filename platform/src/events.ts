import { EventEmitter } from 'node:events'
import type { AppFailureReport } from './runtime/runtime.ts'

/** News travels up through these; calls only go down. */
export interface PlatformEvents {
  /** The app answers with another version or another environment from now on, or is gone: routes are looked up anew. */
  'app.routed': [{ appId: string }]
  'app.deleted': [{ appId: string }]
  /** A live target of the app could not start, or ended without being told to. */
  'app.failed': [{ appId: string; failure: AppFailureReport }]
  'app.woke': [{ appId: string }]
  'app.slept': [{ appId: string }]
  'deployment.live': [{ appId: string; version: number; deploymentId: string }]
}

export type Events = EventEmitter<PlatformEvents>

export function createEvents(): Events {
  return new EventEmitter<PlatformEvents>().setMaxListeners(100)
}
