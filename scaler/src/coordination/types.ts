import type { Members } from './members.ts'

/** What activators share is small JSON, so that any store can keep it. */
export type Shared = { readonly [name: string]: unknown }

/**
 * A register that several activators share: small JSON documents by key, replaced by compare-and-swap. Implementations:
 * memory (one process), or any store with an atomic update and news of changes (MongoDB, etcd, a Kubernetes object).
 * What the documents mean is the library's own business, the same over every store.
 */
export interface Coordination {
  /** Who lives, where the embedder knows. Without it the activators send heartbeats of their own into the store. */
  readonly members?: Members
  /**
   * Replaces the document atomically by what `change` makes of it, and resolves to what is stored then; undefined means
   * none. `change` is pure and may be called again after a conflict; when it returns its argument, nothing is written.
   * Rejects when the store cannot be reached, or the signal's reason: the change may have been stored all the same.
   */
  update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    options: { signal: AbortSignal },
  ): Promise<T | undefined>
  /**
   * Calls back with every document now and with each change, its own included; for one key in the order of the updates,
   * though it may skip to the newest. Late news is no error: decisions are made in `update` alone.
   */
  watch(onChange: (key: string, value: Shared | undefined) => void): Promise<AsyncDisposable>
}
