import type { Turn } from '@fp/scaler'
import { queueFull, WorkQueue } from '../../work-queue.ts'

const NAMES = { name: 'deployments', work: 'deployments', per: 'account' } as const
/** Mostly they wait for an app to start, and starts have turns of their own (runtime/wakes.ts). */
const AT_ONCE = 32
const AT_ONCE_PER_USER = 4
/** Accepted and not ended, of one user and of all. */
const MOST_PER_USER = 100
const MOST = 2_000

/** The deployments that this replica carries, from their acceptance to their end: users are served in turn. */
export class DeployQueue {
  readonly #owners = new Map<string, string>()
  /** What may wait is bounded when it is accepted: a deployment that has been accepted is not refused. */
  readonly #queue = new WorkQueue({
    ...NAMES,
    atOnce: AT_ONCE,
    atOncePerKey: AT_ONCE_PER_USER,
    waiting: Infinity,
    waitingPerKey: Infinity,
  })

  /** Whether the deployment is carried here. */
  has(deploymentId: string): boolean {
    return this.#owners.has(deploymentId)
  }

  /** Throws FP_QUEUE_FULL. */
  refuseIfFull(ownerId: string): void {
    let own = 0
    for (const owner of this.#owners.values()) if (owner === ownerId) own++
    if (own >= MOST_PER_USER) throw queueFull(NAMES, { limit: 'key', most: MOST_PER_USER })
    if (this.#owners.size >= MOST) throw queueFull(NAMES, { limit: 'total', most: MOST })
  }

  add(deploymentId: string, ownerId: string): void {
    this.#owners.set(deploymentId, ownerId)
  }

  remove(deploymentId: string): void {
    this.#owners.delete(deploymentId)
  }

  /** Its owner's turn, to be released. Undefined once the signal fires. */
  async turn(deploymentId: string, signal: AbortSignal): Promise<Turn | undefined> {
    try {
      return await this.#queue.enter(this.#owners.get(deploymentId) ?? '', { signal })
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
  }
}
