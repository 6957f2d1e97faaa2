import { Binary, type Collection, type Db } from 'mongodb'
import type { BlobId } from './asset.ts'

interface BlobDoc {
  readonly _id: BlobId
  readonly ownerId: string
  readonly bytes: number
  readonly data: Binary
  /** When the references to it are next looked for. Absent once one was found and none has changed since. */
  readonly checkAt?: Date
}

/** A blob whose references are to be looked for now. */
export interface DueBlob {
  readonly blob: BlobId
  readonly checkAt: Date
}

/** Earlier than any check. */
const EVER = new Date(0)

/** Contents of assets, one document each: at most 2 MB, of the 16 MB that MongoDB allows. */
export class BlobStore {
  readonly #blobs: Collection<BlobDoc>

  constructor(db: Db) {
    this.#blobs = db.collection('blobs')
  }

  async createIndexes(): Promise<void> {
    // Covers the sum of a user's bytes, so that no content is read for it.
    await this.#blobs.createIndex({ ownerId: 1, bytes: 1 })
    await this.#blobs.createIndex({ checkAt: 1 }, { partialFilterExpression: { checkAt: { $gt: EVER } } })
  }

  /** Sets the time of the next check of those that exist. Returns how many exist. */
  async review(blobs: readonly BlobId[], checkAt: Date): Promise<number> {
    if (blobs.length === 0) return 0
    const { matchedCount } = await this.#blobs.updateMany({ _id: { $in: [...blobs] } }, { $set: { checkAt } })
    return matchedCount
  }

  /** Two callers that store the same content at once both succeed. It is stored once. */
  async put(blob: BlobId, ownerId: string, data: Buffer, checkAt: Date): Promise<void> {
    await this.#blobs.updateOne(
      { _id: blob },
      { $set: { checkAt }, $setOnInsert: { ownerId, bytes: data.length, data: new Binary(data) } },
      { upsert: true },
    )
  }

  async read(blob: BlobId): Promise<Buffer | undefined> {
    const doc = await this.#blobs.findOne({ _id: blob }, { projection: { data: 1 } })
    return doc
      ? Buffer.from(doc.data.buffer.buffer, doc.data.buffer.byteOffset, doc.data.length())
      : undefined
  }

  /** Bytes of all blobs of a user. */
  async usage(ownerId: string): Promise<number> {
    const [sum] = await this.#blobs
      .aggregate<{ bytes: number }>([
        { $match: { ownerId } },
        { $group: { _id: null, bytes: { $sum: '$bytes' } } },
      ])
      .toArray()
    return sum?.bytes ?? 0
  }

  async due(by: Date, limit: number): Promise<DueBlob[]> {
    const docs = await this.#blobs
      // The lower bound is the index's own condition. Without it MongoDB does not use the index and reads every content.
      .find({ checkAt: { $gt: EVER, $lte: by } }, { projection: { checkAt: 1 } })
      .sort({ checkAt: 1 })
      .limit(limit)
      .toArray()
    return docs.map((doc) => ({ blob: doc._id, checkAt: doc.checkAt! }))
  }

  /** Deletes a blob without references. Changes nothing if its next check was set to another time meanwhile. */
  async settle(due: DueBlob, referenced: boolean): Promise<void> {
    const same = { _id: due.blob, checkAt: due.checkAt }
    if (referenced) await this.#blobs.updateOne(same, { $unset: { checkAt: 1 } })
    else await this.#blobs.deleteOne(same)
  }
}
