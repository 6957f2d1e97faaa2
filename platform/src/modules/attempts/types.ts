/** How a key is slowed down before it is locked. Times in ms. */
export interface Backoff {
  /** Attempts that may follow each other at once. */
  readonly free: number
  /** The wait after the last of them; it doubles with each further attempt, */
  readonly first: number
  /** up to this. */
  readonly longest: number
  /** A key that was quiet this long after its wait begins anew. */
  readonly forgottenAfter: number
}

/**
 * Counts attempts; in MongoDB and by its clock, so that every replica counts the same and a restart forgets nothing. Each
 * method is one atomic step: parallel attempts all count.
 */
export interface AttemptStore {
  ensureIndexes(): Promise<void>
  /** One more attempt under this key. A window begins with its first attempt and lasts `window` ms. */
  count(key: string, window: number): Promise<{ count: number; resetsAt: Date }>
  /** Takes one attempt back. */
  refund(key: string): Promise<void>
  /** One more attempt under a key that backs off. Refused while the key waits; that is then no attempt. */
  admit(key: string, backoff: Backoff): Promise<{ admitted: boolean; retryAt: Date }>
  forget(key: string): Promise<void>
  /** Keeps the key for `lifetime` ms. */
  remember(key: string, lifetime: number): Promise<void>
  remembers(key: string): Promise<boolean>
}
