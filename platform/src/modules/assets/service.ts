import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ASSET_LIMITS } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { blobId, type BlobId } from './asset.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
import type { BlobStore } from './store.ts'

/**
 * Time from a change of the references to a blob until they are checked, in ms. Longer than an upload or a deployment takes
 * from storing a content to storing the reference.
 */
export const REVIEW_AFTER = 15 * 60_000
/** How many blobs are checked at a time. */
const BATCH = 200
/** Bytes hashed in one turn of the event loop: they take a few ms. */
const HASH_PIECE = 512 * 1024

export interface AssetServiceDeps {
  readonly store: BlobStore
  readonly now: () => Date
}

/** Returns which of these blobs are referred to. */
type Referrer = (blobs: readonly BlobId[]) => Promise<Iterable<BlobId>>

export type AssetService = ReturnType<typeof createAssetService>

/**
 * The contents of assets. Each is stored once for its user, until nothing refers to it.
 *
 * The one rule: call `hold` before you add a reference and `release` before you remove one. A check that is under way then
 * leaves the blob as it is, and another check follows after the change.
 */
export function createAssetService(deps: AssetServiceDeps) {
  const { store } = deps
  const referrers: Referrer[] = []
  /** Keeps two uploads of a user from both taking the last free bytes. Each replica has its own queue. */
  const perOwner = new KeyedQueue()
  const checkAt = (): Date => new Date(deps.now().getTime() + REVIEW_AFTER)

  return {
    /** Registers another module whose documents refer to blobs. Call it before the first sweep. */
    referredToBy: (referrer: Referrer): void => void referrers.push(referrer),

    /** Stores a content. Throws FP_ASSET_QUOTA when the user's contents would be more than ASSET_LIMITS.maxUserBytes. */
    async keep(ownerId: string, content: Buffer): Promise<BlobId> {
      const blob = blobId(ownerId, await hash(content))
      return perOwner.run(ownerId, async () => {
        if ((await store.review([blob], checkAt())) === 1) return blob
        const used = await store.usage(ownerId)
        if (used + content.length > ASSET_LIMITS.maxUserBytes) throw overQuota(used)
        await store.put(blob, ownerId, content, checkAt())
        return blob
      })
    },

    /** Call it before references to these are added. Throws FP_ASSET_NOT_FOUND when one of them no longer exists. */
    async hold(blobs: readonly BlobId[]): Promise<void> {
      if ((await store.review(blobs, checkAt())) === blobs.length) return
      throw new FpError(
        'FP_ASSET_NOT_FOUND',
        'An asset was deleted while the app was changed. Load the draft again and repeat what you did.',
      )
    },

    /** Call it before references to these are removed. */
    async release(blobs: readonly BlobId[]): Promise<void> {
      await store.review(blobs, checkAt())
    },

    async read(blob: BlobId): Promise<Buffer> {
      const content = await store.read(blob)
      if (content) return content
      throw new FpError('FP_ASSET_NOT_FOUND', 'The content of this asset is gone. Upload it again.')
    },

    /** Deletes the contents that nothing refers to. Any number of replicas may do so at once. */
    async sweep(): Promise<void> {
      for (;;) {
        const due = await store.due(deps.now(), BATCH)
        const blobs = due.map(({ blob }) => blob)
        const found = await Promise.all(referrers.map((referrer) => referrer(blobs)))
        const used = new Set(found.flatMap((some) => [...some]))
        for (const one of due) await store.settle(one, used.has(one.blob))
        if (due.length < BATCH) return
      }
    },
  }
}

async function hash(content: Buffer): Promise<string> {
  const sha256 = createHash('sha256')
  for (let at = 0; at < content.length; at += HASH_PIECE) {
    if (at > 0) await nextTurn()
    sha256.update(content.subarray(at, at + HASH_PIECE))
  }
  return sha256.digest('hex')
}

function overQuota(used: number): FpError {
  const mb = (bytes: number): string => `${Math.ceil((bytes / 1024 / 1024) * 10) / 10} MB`
  const limit = ASSET_LIMITS.maxUserBytes
  return new FpError(
    'FP_ASSET_QUOTA',
    `Your apps' assets, with those of kept versions, have ${mb(used)} already; at most ${mb(limit)} a user are allowed. Delete apps or assets that you no longer need; what no version holds any more is given back within ${REVIEW_AFTER / 60_000} minutes.`,
    { details: { bytes: used, limit } },
  )
}
