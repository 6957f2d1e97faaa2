import type { QueueFull, TargetKey, WakeLimits } from '@fp/scaler'
import { availableParallelism } from 'node:os'
import type { FpError } from '../errors.ts'
import { queueFull } from '../queues/work-queue.ts'

/** How many wakes may wait for their turn: of one user's apps, and of all users together. */
const WAITING_PER_USER = 200
const WAITING = 2_000
/** How many starts run at once in a cluster. Its nodes start the apps, so this only limits the load of the API server. */
const IN_A_CLUSTER = 32

/**
 * How many apps start at once. Users take turns. On one machine a start occupies one core, so more starts than cores would
 * finish no earlier. One user gets at most half of the places, so a user who wakes all apps at once does not delay others.
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
    // Longer than most starts take. A slower one probably waits for something, so its core is free for others.
    turnLimit: onThisMachine ? 500 : 2_000,
    groupOf: ownerOf,
  }
}

/** The API's error for a refused wake. */
export function wakesFull(cause: QueueFull): FpError {
  return queueFull({ name: 'wakes', work: 'starts of apps', per: 'account' }, cause)
}
