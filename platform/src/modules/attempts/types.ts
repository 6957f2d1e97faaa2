/** How long a key must wait between attempts. Times in ms. */
export interface Backoff {
  /** Attempts without a wait between them. */
  readonly free: number
  /** The wait after the last of these attempts. It doubles with each further attempt. */
  readonly first: number
  /** The longest wait. */
  readonly longest: number
  /** A key without attempts for this long after its wait starts again without one. */
  readonly forgottenAfter: number
}

/**
 * Counts attempts in MongoDB and by its clock, so that all replicas share the counts and a restart loses none. Each method
 * is one atomic step: of parallel attempts every one counts.
 */
export interface AttemptStore {
  ensureIndexes(): Promise<void>
  /** Counts one more attempt under this key. A window begins with its first attempt and lasts `window` ms. */
  count(key: string, window: number): Promise<{ count: number; resetsAt: Date }>
  /** Takes one attempt back. */
  refund(key: string): Promise<void>
  /** Counts one more attempt under a key that backs off. While the key waits, the attempt is refused and not counted. */
  admit(key: string, backoff: Backoff): Promise<{ admitted: boolean; retryAt: Date }>
  forget(key: string): Promise<void>
  /** Keeps the key for `lifetime` ms. */
  remember(key: string, lifetime: number): Promise<void>
  remembers(key: string): Promise<boolean>
}
