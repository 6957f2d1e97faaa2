import type { App, AppDetail } from '@fp/sdk/wire'
import { assetToWire } from '../assets/asset.ts'
import type { AppDetailView, AppView } from './ports.ts'
import { failureToWire } from '../app-records/wire.ts'

export type AppUrl = (appId: string) => string

export function appToWire(view: AppView, appUrl: AppUrl): App {
  const { app } = view
  return {
    app_id: app.appId,
    name: app.name,
    url: appUrl(app.appId),
    status: view.status,
    live_version: app.live?.version ?? null,
    has_unpublished_changes: view.hasUnpublishedChanges,
    draft_revision: view.draftRevision,
    assets_revision: view.assetsRevision,
    env_revision: app.envRevision,
    idle_timeout_s: app.idleTimeoutS,
    entrypoint: app.entrypoint,
    storage: app.storage,
    storage_limit_bytes: view.storageLimitBytes,
    last_failure: app.lastFailure && failureToWire(app.lastFailure),
    asleep_since: view.asleepSince?.toISOString() ?? null,
    created_at: app.createdAt.toISOString(),
    updated_at: view.updatedAt.toISOString(),
  }
}

export function appDetailToWire(view: AppDetailView, appUrl: AppUrl): AppDetail {
  const { files, assets, revision, updatedAt } = view.draft
  return {
    ...appToWire(view, appUrl),
    draft: {
      files,
      assets: assets.map(assetToWire),
      revision,
      updated_at: updatedAt.toISOString(),
    },
    env_vars: view.env,
  }
}
