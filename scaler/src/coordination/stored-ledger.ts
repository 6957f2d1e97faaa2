import type { Ledger, Share } from './ledger.ts'
import type { Shared } from './types.ts'

/*
 * Converts ledgers from and to the format of the store. The previous version of the library knows only the field names of the
 * right column, and during a rolling update activators of both versions share ledgers. So this version reads both names and
 * writes those of the right column. The next version will write those of the left column.
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
