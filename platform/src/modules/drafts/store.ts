import type { Collection, Db } from 'mongodb'
import { type AssetRef, type BlobId } from '../assets/asset.ts'
import type { AppFile } from './files.ts'

export interface DraftRecord {
  readonly appId: string
  readonly files: readonly AppFile[]
  readonly assets: readonly AssetRef[]
  /** Hash of files and assets. */
  readonly hash: string
  /** Counts saves of the files. */
  readonly revision: number
  /** Counts changes of the assets. It is a number of its own so that these do not conflict with edits of the files. */
  readonly assetsRevision: number
  readonly updatedAt: Date
}

/** A draft without its files. */
export type DraftSummary = Omit<DraftRecord, 'files'>

export const DRAFTS = 'drafts'

type DraftDoc = Omit<DraftRecord, 'appId'> & { readonly _id: string }

/** The state that a change was made from. If the draft has another state by now, the change is refused. */
export interface DraftState {
  /** Undefined: any revision. */
  readonly revision: number | undefined
  readonly assetsRevision: number
}

export class DraftStore {
  readonly #drafts: Collection<DraftDoc>

  constructor(db: Db) {
    this.#drafts = db.collection(DRAFTS)
  }

  async createIndexes(): Promise<void> {
    await this.#drafts.createIndex({ 'assets.blob': 1 })
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

  /** Replaces the files of a draft that is still as it `was`; undefined if it is not. */
  async replaceFiles(
    appId: string,
    was: DraftState,
    draft: Pick<DraftRecord, 'files' | 'hash' | 'updatedAt'>,
  ): Promise<DraftRecord | undefined> {
    const doc = await this.#drafts.findOneAndUpdate(
      { _id: appId, ...same(was) },
      { $set: { files: draft.files, hash: draft.hash, updatedAt: draft.updatedAt }, $inc: { revision: 1 } },
      { returnDocument: 'after' },
    )
    return doc ? toRecord(doc) : undefined
  }

  /** The same for the assets. */
  async replaceAssets(
    appId: string,
    was: DraftState,
    draft: Pick<DraftRecord, 'assets' | 'hash' | 'updatedAt'>,
  ): Promise<boolean> {
    const { assets, hash, updatedAt } = draft
    const { matchedCount } = await this.#drafts.updateOne(
      { _id: appId, ...same(was) },
      { $set: { assets, hash, updatedAt, assetsRevision: was.assetsRevision + 1 } },
    )
    return matchedCount === 1
  }

  /** Returns those of the blobs that a draft refers to. */
  async referenced(blobs: readonly BlobId[]): Promise<BlobId[]> {
    return this.#drafts.distinct('assets.blob', { 'assets.blob': { $in: [...blobs] } })
  }

  async remove(appId: string): Promise<void> {
    await this.#drafts.deleteOne({ _id: appId })
  }
}

function same({ revision, assetsRevision }: DraftState): object {
  return {
    ...(revision === undefined ? {} : { revision }),
    assetsRevision,
  }
}

function toRecord(doc: DraftDoc): DraftRecord {
  const { _id, ...rest } = doc
  return { appId: _id, ...rest }
}
