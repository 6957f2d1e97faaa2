/** The id of one running activator. */
export type MemberId = string

/**
 * The processes that share the targets, for an embedder that already tracks which of them are alive. `lost` must abort in a
 * process before `isDead` returns true for this process anywhere else.
 */
export interface Members {
  /** The id of this process. After it was lost, a process must return with a new id. Ids are never reused. */
  readonly id: MemberId
  /** Aborts when other processes may consider this one dead. A new signal is set when the process is a member again. */
  readonly lost: AbortSignal
  /** Whether the member is permanently dead. An unknown id counts as alive. Must be synchronous and cheap. */
  isDead(id: MemberId): boolean
  /**
   * Calls back when a member has died or left, when this process is lost or returns, and in any case every few seconds, after
   * it has asked the store whether this process is still a member.
   */
  watch(onChange: () => void): Disposable
}
