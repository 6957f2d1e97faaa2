import type { Collection, Db } from 'mongodb'
import type { AppFile } from './files.ts'

export interface DraftRecord {
  readonly appId: string
  readonly files: readonly AppFile[]
  readonly hash: string
  /** Counts saves. */
  readonly revision: number
  readonly updatedAt: Date
}

/** A draft without its files. */
export type DraftSummary = Omit<DraftRecord, 'files'>

type DraftDoc = Omit<DraftRecord, 'appId'> & { readonly _id: string }

export class DraftStore {
  readonly #drafts: Collection<DraftDoc>

  constructor(db: Db) {
    this.#drafts = db.collection('drafts')
  }

  async insert(draft: DraftRecord): Promise<void> {
    const { appId, ...rest } = draft
    await this.#drafts.insertOne({ _id: appId, ...rest })
  }

  async find(appId: string): Promise<DraftRecord | undefined> {
    const doc = await this.#drafts.findOne({ _id: appId })
    return doc ? toRecord(doc) : undefined
  }

  async summaries(appIds: readonly string[]): Promise<Map<string, DraftSummary>> {
    const docs = await this.#drafts
      .find({ _id: { $in: [...appIds] } }, { projection: { files: 0 } })
      .toArray()
    return new Map(docs.map((doc) => [doc._id, toRecord(doc)]))
  }

  /** Replaces the files if the draft still has `revision` (undefined: whatever it has); undefined when it has not. */
  async replace(
    appId: string,
    revision: number | undefined,
    draft: Pick<DraftRecord, 'files' | 'hash' | 'updatedAt'>,
  ): Promise<DraftRecord | undefined> {
    const doc = await this.#drafts.findOneAndUpdate(
      { _id: appId, ...(revision === undefined ? {} : { revision }) },
      { $set: { files: draft.files, hash: draft.hash, updatedAt: draft.updatedAt }, $inc: { revision: 1 } },
      { returnDocument: 'after' },
    )
    return doc ? toRecord(doc) : undefined
  }

  async remove(appId: string): Promise<void> {
    await this.#drafts.deleteOne({ _id: appId })
  }
}

function toRecord(doc: DraftDoc): DraftRecord {
  const { _id, ...rest } = doc
  return { appId: _id, ...rest }
}
