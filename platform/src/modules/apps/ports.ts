import type { AppStatus, CreateAppBody, EnvVar, Files } from '@fp/sdk/wire'
import type { PageRequest } from '../paging.ts'
import type { AssetRef } from '../assets/asset.ts'
import type { AppSummary } from '../app-records/types.ts'

/** An app as its owner sees it: its record, joined with its draft, its deployments and the phase of its live target. */
export interface AppView {
  readonly app: AppSummary
  readonly status: AppStatus
  readonly hasUnpublishedChanges: boolean
  readonly draftRevision: number
  readonly assetsRevision: number
  readonly asleepSince: Date | null
  readonly storageLimitBytes: number
  /** When the record or the draft was last changed, whichever is later. */
  readonly updatedAt: Date
}

export interface AppDetailView extends AppView {
  readonly draft: {
    readonly files: Files
    readonly assets: readonly AssetRef[]
    readonly revision: number
    readonly updatedAt: Date
  }
  readonly env: EnvVar[]
}

/** `views.ts` implements it. */
export interface AppViews {
  one(ownerId: string, appId: string): Promise<AppView>
  detail(ownerId: string, appId: string): Promise<AppDetailView>
  /** Those of the apps that the user has, in any order. */
  some(ownerId: string, appIds: readonly string[]): Promise<AppView[]>
  /** One item more than the page's limit when there are more. */
  list(ownerId: string, page: PageRequest): Promise<AppView[]>
}

/** Creates and removes an app with all that belongs to it. `lifecycle.ts` implements it. */
export interface AppLifecycle {
  /** Resolves to the new app's id. */
  create(ownerId: string, body: CreateAppBody): Promise<string>
  clone(ownerId: string, appId: string, name: string | undefined): Promise<string>
  remove(ownerId: string, appId: string): Promise<void>
}
