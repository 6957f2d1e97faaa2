import type { AttemptStore } from './store.ts'

export type { Backoff } from './store.ts'

/** The service of this module. */
export type Attempts = Pick<AttemptStore, keyof AttemptStore>
