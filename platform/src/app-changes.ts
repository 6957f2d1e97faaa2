import { EventEmitter } from 'node:events'

/** Changes of apps' documents by any process, for the parts that cache them. */
export interface AppChangeEvents {
  /** The app now has another live version, environment or idle timeout. */
  routed: [{ readonly appId: string }]
  deleted: [{ readonly appId: string }]
  /** The owner asked for sleep: each gate releases its lock on the app's target. */
  sleepAsked: [{ readonly appId: string }]
  /** Changes may have been missed, so cached data may be outdated. */
  lost: []
}

export type AppChanges = EventEmitter<AppChangeEvents>

export function createAppChanges(): AppChanges {
  return new EventEmitter<AppChangeEvents>().setMaxListeners(100)
}
