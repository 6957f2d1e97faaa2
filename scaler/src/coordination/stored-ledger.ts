import { outdated } from '../errors.ts'
import type { Ledger, Share } from './ledger.ts'
import type { Shared } from './types.ts'

/*
 * Converts ledgers from and to the format of the store. A stored ledger has the version of its format:
 *
 *   1, not stored   other names (see `fromVersion1`). Its activators also read the names of version 2, but not its number.
 *   2               the fields of `Ledger`
 *
 * A new version is needed when an activator of this version would misunderstand the fields. Fields that it does not know and may
 * ignore need none: they are kept.
 */
const VERSION = 2

/** Throws SCALER_OUTDATED if a newer version has written the ledger: this version must not act on it. */
export function fromStore(stored: Shared): Ledger {
  const { version = 1, ...ledger } = stored
  if (typeof version !== 'number' || version > VERSION) throw outdated()
  // An activator of version 1 keeps the number that it has read, but writes its own names.
  const known = 'seizedBy' in ledger ? fromVersion1(ledger) : ledger
  // Activators before 0.2 do not write the dead endpoints.
  return { dead: [], ...known } as unknown as Ledger
}

export function toStore(ledger: Ledger): Shared {
  return { ...ledger, version: VERSION }
}

function fromVersion1({ seizedBy, condemned, resting, restings, shares, ...rest }: Shared): Shared {
  const named = Object.entries(shares as Record<string, Share & { quiet?: readonly string[] }>).map(
    ([id, { quiet, ...share }]) => [id, { ...share, drained: quiet ?? [] }],
  )
  return {
    ...rest,
    shares: Object.fromEntries(named),
    exclusive: seizedBy,
    terminated: condemned,
    draining: resting,
    drainings: restings,
  }
}
