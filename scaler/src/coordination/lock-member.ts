import type { TargetKey } from '../types.ts'
import type { LedgerSource } from './ledger-copy.ts'
import type { Standing } from './lock-state.ts'

/** The parts of a member that its locks use. */
export interface LockMember extends LedgerSource {
  readonly isTrusted: boolean
  readonly standing: Standing
  check(): void
  /** Drops this lock, unless the target has another one by now. */
  forget(key: TargetKey, lock: object): void
}
