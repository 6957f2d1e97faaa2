import type { Lease, TargetPolicy } from '../src/types.ts'
import { fleet, type Fleet, type FleetMember } from './fleet.ts'
import { MINUTE } from './harness.ts'

/** Two activators that share a coordination. */
export type Pair = Fleet & { readonly one: FleetMember; readonly two: FleetMember }

export async function pairOf(embedded: boolean, policy: Partial<TargetPolicy> = {}): Promise<Pair> {
  const both = await fleet(2, { idleTimeout: MINUTE, ...policy }, { embedded })
  return { ...both, one: both.members[0]!, two: both.members[1]! }
}

/** The state of a pending `acquire`. */
export function ask({ activator }: FleetMember, key = 'app'): { lease?: Lease; error?: unknown } {
  const asked: { lease?: Lease; error?: unknown } = {}
  activator.acquire(key).then(
    (lease) => (asked.lease = lease),
    (error: unknown) => (asked.error = error),
  )
  return asked
}
