import type { TargetPolicy } from '../../src/types.ts'

/** What a test plants to prove that an oracle sees it. */
export interface Faults {
  /** What activators believe of a policy. */
  readonly policy?: Partial<TargetPolicy>
  /** The most replicas that the driver starts. */
  readonly mostReplicas?: number
  /** A member whose connection stays broken. */
  readonly neverHeals?: boolean
  readonly keepAwake?: boolean
  /** Stopped processes do not notice that time has passed. */
  readonly pausesUnnoticed?: boolean
  /** To put a target to sleep, the driver is called without asking the other activators. */
  readonly sleepsByForce?: boolean
  /** A replica at which a request was reset is replaced. */
  readonly resetsKill?: boolean
  /** Requests are lost after this many have been granted. */
  readonly grants?: number
  readonly answersTwice?: boolean
  /** A timer or a watcher is left in the end. */
  readonly leavesTimer?: boolean
  readonly leavesWatcher?: boolean
}
