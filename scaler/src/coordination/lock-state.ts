import type { Ledger } from './ledger.ts'

/**
 * What one activator has of a target:
 * - none: nothing.
 * - wanted: it has asked for a share and has no answer yet.
 * - shared: the ledger has its share, as far as it knows.
 * - denied: it had a share, and the ledger says that it has none any more. Others may have counted it as dead.
 * - exclusive: it holds the exclusive lock, or has asked for it.
 */
export type LockState = 'none' | 'wanted' | 'shared' | 'denied' | 'exclusive'

/** want: ask for a share. grant, deny: the ledger has or has not the share. seize: ask for the exclusive lock. drop: release. */
export type LockEvent = 'want' | 'grant' | 'deny' | 'seize' | 'drop'

/** An event that is not listed changes nothing. */
const NEXT: Readonly<Record<LockState, Partial<Record<LockEvent, LockState>>>> = {
  none: { want: 'wanted', grant: 'shared', seize: 'exclusive' },
  wanted: { grant: 'shared', seize: 'exclusive', drop: 'none' },
  shared: { deny: 'denied', seize: 'exclusive', drop: 'none' },
  denied: { grant: 'shared', seize: 'exclusive', drop: 'none' },
  exclusive: { grant: 'shared', drop: 'none' },
}

export function nextState(state: LockState, event: LockEvent): LockState {
  return NEXT[state][event] ?? state
}

/**
 * Whether the other members respect this member's locks:
 * - trusted: yes.
 * - checking: the process was stopped for a while, and has to ask first.
 * - cutOff: the store does not answer, so nobody can tell.
 * - blind: neither does the driver know whether its endpoints still exist.
 */
export type Standing = 'trusted' | 'checking' | 'cutOff' | 'blind'

/**
 * Whether an activator may send requests to the target. While the store does not answer, it keeps the share that it has, and
 * uses a target for which it has never asked, unless the last known ledger forbids it: ready endpoints are worth more than a
 * share that nobody can grant. It stops when the ledger says that it has no share.
 */
export function maySend(state: LockState, standing: Standing, ledger: Ledger): boolean {
  if (standing === 'checking' || standing === 'blind') return false
  if (state === 'shared') return true
  if (standing === 'trusted' || state === 'denied' || state === 'exclusive') return false
  return !ledger.retired && ledger.exclusive === null
}
