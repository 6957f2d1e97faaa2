import type { QueueFull, TargetKey, WakeLimits } from '@fp/scaler'
import { availableParallelism } from 'node:os'
import type { FpError } from '../errors.ts'
import { queueFull } from '../work-queue.ts'

/** Wakes of one user's apps that may wait for their turn, and of all users' together. */
const WAITING_PER_USER = 200
const WAITING = 2_000
/** A cluster starts apps elsewhere; what is bounded is what its API server is asked at once. */
const IN_A_CLUSTER = 32

/**
 * How many apps start at once, users in turn. On one machine, a start is work of one core: more at once than cores are
 * no sooner done. Half of them are left to others, so a user who wakes everything at once takes nobody's turn.
 */
export function wakeLimits(options: {
  /** Apps start on this machine, not elsewhere in a cluster. */
  onThisMachine: boolean
  ownerOf(key: TargetKey): string | Promise<string>
  cores?: number
}): WakeLimits {
  const { onThisMachine, ownerOf, cores = availableParallelism() } = options
  const atOnce = onThisMachine ? Math.max(2, cores) : IN_A_CLUSTER
  return {
    atOnce,
    atOncePerGroup: Math.floor(atOnce / 2),
    waiting: WAITING,
    waitingPerGroup: WAITING_PER_USER,
    // Longer than most starts take. One that is slow because it waits for something leaves the core to others.
    turnLimit: onThisMachine ? 500 : 2_000,
    groupOf: ownerOf,
  }
}

/** A wake that was refused, in the words of the API. */
export function wakesFull(cause: QueueFull): FpError {
  return queueFull({ name: 'wakes', work: 'starts of apps', per: 'account' }, cause)
}
