import type { Members } from './members.ts'

/** A document that activators share: small JSON, so that any store can hold it. */
export type Shared = { readonly [name: string]: unknown }

/**
 * A store that several activators share: small JSON documents by key, replaced by compare-and-swap. Implementations: memory
 * (one process), or any store with atomic updates and change notifications (MongoDB, etcd, a Kubernetes object). The library
 * alone interprets the documents.
 */
export interface Coordination {
  /** Which processes are alive, if the embedder knows. Otherwise the activators write heartbeats to the store. */
  readonly members?: Members
  /**
   * Atomically replaces the document by the result of `change`, and resolves to the stored document; undefined means that there
   * is none. `change` must be pure and may be called again after a conflict; if it returns its argument, nothing is written.
   * Rejects when the store cannot be reached, or with the signal's reason. The change may have been stored even so.
   */
  update<T extends Shared>(
    key: string,
    change: (current: T | undefined) => T | undefined,
    options: { signal: AbortSignal },
  ): Promise<T | undefined>
  /**
   * Calls back with every existing document and then with each change, including changes made through this object. For one key,
   * calls are in the order of the updates, but may skip to the newest. Calls may be late: all decisions are made in `update`.
   */
  watch(onChange: (key: string, value: Shared | undefined) => void): Promise<AsyncDisposable>
}
