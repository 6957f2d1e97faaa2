import type { Collection, Db } from 'mongodb'
import type { AppFile } from '../drafts/files.ts'
import type { PageRequest } from '../paging.ts'

export interface VersionRecord {
  readonly appId: string
  /** From 1 on, never reused. */
  readonly version: number
  readonly files: readonly AppFile[]
  readonly hash: string
  readonly fileCount: number
  readonly totalBytes: number
  readonly createdAt: Date
}

/** A version without its files. */
export type VersionSummary = Omit<VersionRecord, 'files'>

type VersionDoc = VersionRecord & { readonly _id: string }

export class VersionStore {
  readonly #versions: Collection<VersionDoc>

  constructor(db: Db) {
    this.#versions = db.collection('versions')
  }

  async createIndexes(): Promise<void> {
    await this.#versions.createIndex({ appId: 1, version: -1 }, { unique: true })
  }

  async insert(version: VersionRecord): Promise<void> {
    await this.#versions.insertOne({ _id: `${version.appId}.${version.version}`, ...version })
  }

  async find(appId: string, version: number): Promise<VersionRecord | undefined> {
    const found = await this.#versions.findOne({ appId, version }, { projection: { _id: 0 } })
    return found ?? undefined
  }

  async exists(appId: string, version: number): Promise<VersionSummary | undefined> {
    const found = await this.#versions.findOne({ appId, version }, { projection: { _id: 0, files: 0 } })
    return found ?? undefined
  }

  async list(appId: string, page: PageRequest): Promise<VersionSummary[]> {
    return this.#versions
      .find({ appId, ...(page.before === undefined ? {} : { version: { $lt: page.before } }) }, summary)
      .sort({ version: -1 })
      .limit(page.limit + 1)
      .toArray()
  }

  /** Removes all but the newest `keep` and those in `except`. */
  async prune(appId: string, keep: number, except: readonly number[]): Promise<number> {
    const newest = await this.#versions
      .find({ appId }, { projection: { _id: 0, version: 1 } })
      .sort({ version: -1 })
      .skip(keep - 1)
      .limit(1)
      .toArray()
    const oldestKept = newest[0]?.version
    if (oldestKept === undefined) return 0
    const { deletedCount } = await this.#versions.deleteMany({
      appId,
      version: { $lt: oldestKept, $nin: [...except] },
    })
    return deletedCount
  }

  async removeAll(appId: string): Promise<void> {
    await this.#versions.deleteMany({ appId })
  }
}

const summary = { projection: { _id: 0, files: 0 } } as const
