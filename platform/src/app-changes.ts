import { EventEmitter } from 'node:events'

/** Changes of apps' documents, by whichever process, for what is kept in memory of them. */
export interface AppChangeEvents {
  /** The app answers with another version or another environment from now on, or sleeps after another time. */
  routed: [{ readonly appId: string }]
  deleted: [{ readonly appId: string }]
  /** The owner wants the app asleep: each gate gives up what it holds of the app. */
  sleepAsked: [{ readonly appId: string }]
  /** Changes may have been missed: nothing that is kept in memory is certain. */
  lost: []
}

export type AppChanges = EventEmitter<AppChangeEvents>

export function createAppChanges(): AppChanges {
  return new EventEmitter<AppChangeEvents>().setMaxListeners(100)
}
