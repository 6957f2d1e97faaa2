import { network } from '../../network.ts'
import { WorkQueue } from '../../queues/work-queue.ts'

/**
 * Two are worked on at once: more would not be faster, and a burst of them would hold up the event loop. Nobody is known
 * yet, so it is addresses that are served in turn, and within an address the names.
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

/** Where sign-ups and log-ins wait for the work on their password. Rejects with FP_QUEUE_FULL. */
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
