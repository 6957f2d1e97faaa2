import type { Collection, Db } from 'mongodb'
import type { AssetRef, BlobId } from '../assets/asset.ts'
import type { AppFile } from '../drafts/files.ts'
import type { PageRequest } from '../paging.ts'

export interface VersionRecord {
  readonly appId: string
  /** Counts from 1. Never reused. */
  readonly version: number
  readonly files: readonly AppFile[]
  readonly assets: readonly AssetRef[]
  /** Hash of files, assets and, if the owner had set one, the entrypoint. */
  readonly hash: string
  /** What is served, as it was found or set when the version was created. A rollback serves the same. */
  readonly entrypoint: string
  readonly fileCount: number
  readonly totalBytes: number
  readonly createdAt: Date
}

/** A version without its contents. */
export type VersionSummary = Omit<VersionRecord, 'files' | 'assets'>

type VersionDoc = VersionRecord & { readonly _id: string }

export class VersionStore {
  readonly #versions: Collection<VersionDoc>

  constructor(db: Db) {
    this.#versions = db.collection('versions')
  }

  async createIndexes(): Promise<void> {
    await this.#versions.createIndex({ appId: 1, version: -1 }, { unique: true })
    await this.#versions.createIndex({ 'assets.blob': 1 })
  }

  async insert(version: VersionRecord): Promise<void> {
    await this.#versions.insertOne({ _id: `${version.appId}.${version.version}`, ...version })
  }

  async find(appId: string, version: number): Promise<VersionRecord | undefined> {
    return (await this.#versions.findOne({ appId, version }, { projection: { _id: 0 } })) ?? undefined
  }

  async exists(appId: string, version: number): Promise<VersionSummary | undefined> {
    return (await this.#versions.findOne({ appId, version }, summary)) ?? undefined
  }

  async list(appId: string, page: PageRequest): Promise<VersionSummary[]> {
    return this.#versions
      .find({ appId, ...(page.before === undefined ? {} : { version: { $lt: page.before } }) }, summary)
      .sort({ version: -1 })
      .limit(page.limit + 1)
      .toArray()
  }

  /** All versions except the newest `keep` and those in `except`. */
  async outdated(appId: string, keep: number, except: readonly number[]): Promise<number[]> {
    const newest = await this.#versions
      .find({ appId }, { projection: { _id: 0, version: 1 } })
      .sort({ version: -1 })
      .toArray()
    return newest
      .slice(keep)
      .map(({ version }) => version)
      .filter((version) => !except.includes(version))
  }

  /** The blobs that all versions of an app refer to, or only these versions. */
  async blobs(appId: string, versions?: readonly number[]): Promise<BlobId[]> {
    return this.#versions.distinct('assets.blob', {
      appId,
      ...(versions && { version: { $in: [...versions] } }),
    })
  }

  /** Returns those of the blobs that a version refers to. */
  async referenced(blobs: readonly BlobId[]): Promise<BlobId[]> {
    return this.#versions.distinct('assets.blob', { 'assets.blob': { $in: [...blobs] } })
  }

  /** Removes all versions of an app, or only these. */
  async remove(appId: string, versions?: readonly number[]): Promise<void> {
    await this.#versions.deleteMany({ appId, ...(versions && { version: { $in: [...versions] } }) })
  }
}

const summary = { projection: { _id: 0, files: 0, assets: 0 } } as const
