import { network } from '../../network.ts'
import { WorkQueue } from '../../queues/work-queue.ts'

/**
 * Two log-ins are processed at once: more would not be faster, and a burst of them would block the event loop. Users are
 * not known yet, so addresses are served in turn, and within an address the names.
 */
const LOGINS = {
  name: 'logins',
  work: 'log-ins and sign-ups',
  per: 'address',
  atOnce: 2,
  atOncePerKey: 1,
  waiting: 400,
  waitingPerKey: 100,
} as const

/** The queue of sign-ups and log-ins, whose passwords are expensive to hash. Rejects with FP_QUEUE_FULL. */
export interface LoginQueue {
  login<T>(from: { address: string; name: string }, work: () => Promise<T>): Promise<T>
  signup<T>(from: { address: string }, work: () => Promise<T>): Promise<T>
}

export function createLoginQueue(): LoginQueue {
  const queue = new WorkQueue(LOGINS)
  return {
    login: ({ address, name }, work) => queue.run(network(address), work, { within: name.toLowerCase() }),
    signup: ({ address }, work) => queue.run(network(address), work),
  }
}
