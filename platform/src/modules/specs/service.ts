import { ScalerError, type TargetKey } from '@fp/scaler'
import type { AppSpec, SpecAsset } from '../../runtime/runtime.ts'
import { parseTargetKey } from '../../runtime/targets.ts'
import { noSuchApp } from '../app-records/service.ts'
import type { AppRecord } from '../app-records/types.ts'
import { sha256Of, type AssetRef } from '../assets/asset.ts'
import type { AssetService } from '../assets/service.ts'
import { toRecord, type AppFile } from '../drafts/files.ts'
import type { EnvVars } from '../secrets/env-vars.ts'
import { buildSpec, type SpecDeps } from './spec.ts'

/** The parts of a version that are needed to start it. */
export interface VersionContents {
  readonly files: readonly AppFile[]
  readonly assets: readonly AssetRef[]
  readonly entrypoint: string
}

export interface SpecServiceDeps extends SpecDeps {
  readonly apps: { find(appId: string): Promise<AppRecord | undefined> }
  readonly envVars: Pick<EnvVars, 'open'>
  readonly versions: { load(appId: string, version: number): Promise<VersionContents> }
  readonly assets: Pick<AssetService, 'read'>
}

/**
 * Makes the spec with which a target is started. Reads its parts again each time. Rejects with SCALER_RETIRED for a target
 * that another one has replaced.
 */
export function createSpecs(deps: SpecServiceDeps): (key: TargetKey) => Promise<AppSpec> {
  const toSpecAsset = ({ path, bytes, blob }: AssetRef): SpecAsset => ({
    path,
    bytes,
    sha256: sha256Of(blob),
    read: () => deps.assets.read(blob),
  })

  return async (key) => {
    const target = parseTargetKey(key)
    // Reads the version and the app at once, as a request may wait for this wake.
    const version = deps.versions.load(target.appId, target.version)
    version.catch(() => undefined)
    const app = await deps.apps.find(target.appId)
    if (!app) throw noSuchApp(target.appId)
    // The gate that wakes it does not know of the new target yet, and this one may be retired already. The gate looks again.
    if (app.live && target.revision < app.live.revision) throw replaced()
    const { files, assets, entrypoint } = await version
    return buildSpec(deps, target, app.ownerId, {
      files: toRecord(files),
      assets: assets.map(toSpecAsset),
      entrypoint,
      env: await deps.envVars.open(app.appId, app.env),
      storage: app.storage,
      sequence: app.sequence,
    })
  }
}

function replaced(): ScalerError {
  return new ScalerError('SCALER_RETIRED', 'This version of the app has been replaced by another one.', {
    retryAfter: 0,
  })
}
