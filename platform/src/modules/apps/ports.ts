import type { AppStatus, CreateAppBody, EnvVar, Files } from '@fp/sdk/wire'
import type { PageRequest } from '../paging.ts'
import type { AssetRef } from '../assets/asset.ts'
import type { AppSummary } from '../app-records/types.ts'

/**
 * What the routes of apps need of the modules above: an app as it is shown, made and removed is more than its record.
 * Calls go down only, so the modules above implement these and `modules/index.ts` hands them in.
 */
export interface AppView {
  readonly app: AppSummary
  readonly status: AppStatus
  readonly hasUnpublishedChanges: boolean
  readonly asleepSince: Date | null
  readonly storageLimitBytes: number
  /** Of the record or its draft, whichever is later. */
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

export interface AppViews {
  one(ownerId: string, appId: string): Promise<AppView>
  detail(ownerId: string, appId: string): Promise<AppDetailView>
  /** One more than the page's limit when there are more. */
  list(ownerId: string, page: PageRequest): Promise<AppView[]>
}

export interface AppLifecycle {
  /** Resolves to the new app's id. */
  create(ownerId: string, body: CreateAppBody): Promise<string>
  clone(ownerId: string, appId: string, name: string | undefined): Promise<string>
  remove(ownerId: string, appId: string): Promise<void>
}
