import type { Ledger, Share } from './ledger.ts'
import type { Shared } from './types.ts'

/*
 * Ledgers in the store. The version before knows the fields of the right column alone, and activators of both versions share ledgers
 * during a rolling update: this version reads both and writes those. The next version writes the names of the left column.
 *
 *   exclusive    seizedBy
 *   terminated   condemned
 *   draining     resting
 *   drainings    restings
 *   drained      quiet (of a share)
 */

export function fromStore(stored: Shared): Ledger {
  const { seizedBy, condemned, resting, restings, shares, ...rest } = stored
  return {
    exclusive: seizedBy ?? null,
    terminated: condemned ?? [],
    draining: resting ?? [],
    drainings: restings ?? 0,
    ...rest,
    shares: mapShares(shares, ({ quiet, ...share }) => ({ drained: quiet ?? [], ...share })),
  } as Ledger
}

export function toStore({ exclusive, terminated, draining, drainings, shares, ...rest }: Ledger): Shared {
  return {
    ...rest,
    shares: mapShares(shares, ({ drained, ...share }) => ({ ...share, quiet: drained })),
    seizedBy: exclusive,
    condemned: terminated,
    resting: draining,
    restings: drainings,
  }
}

type StoredShare = Partial<Share> & { readonly quiet?: readonly string[] }

function mapShares(shares: unknown, change: (share: StoredShare) => object): Record<string, object> {
  const entries = Object.entries(shares as Record<string, StoredShare>)
  return Object.fromEntries(entries.map(([id, share]) => [id, change(share)]))
}
