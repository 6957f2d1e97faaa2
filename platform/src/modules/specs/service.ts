import { ScalerError, type TargetKey } from '@fp/scaler'
import type { Files } from '@fp/sdk/wire'
import { STORAGE_DIR, type AppSpec, type SpecAsset } from '../../runtime/runtime.ts'
import { parseTargetKey, targetKey, type TargetId } from '../../runtime/targets.ts'
import { noSuchApp, type AppService } from '../app-records/service.ts'
import { sha256Of, type AssetRef } from '../assets/asset.ts'
import type { AssetService } from '../assets/service.ts'
import type { DatabaseService } from '../databases/service.ts'
import { toRecord } from '../drafts/files.ts'
import { deriveKey } from '../secrets/derive.ts'
import type { VersionService } from '../versions/service.ts'

/** Apps listen where the runner tells them; the number is for code that insists on one. */
const PORT = '8000'

export interface SpecDeps {
  readonly apps: AppService
  readonly versions: VersionService
  readonly databases: DatabaseService
  readonly assets: Pick<AssetService, 'read'>
  readonly secretKey: Buffer
  /** What apps' session keys are derived for; another text gives each app another key. */
  readonly sessionKeyPurpose: string
}

export interface Specs {
  /**
   * Everything that starting the target takes. Read anew each time: keep it nowhere, it holds secrets. Rejects with
   * SCALER_RETIRED for a target that another has replaced.
   */
  specOf(key: TargetKey): Promise<AppSpec>
  /**
   * For loading files that belong to no app, as their author: with the author's database and no environment variables.
   * Sequences of apps count from 1, those of trials from 0 down.
   */
  trial(
    userId: string,
    id: string,
    app: Pick<AppSpec, 'files' | 'entrypoint'>,
    sequence: number,
  ): Promise<AppSpec>
}

export function createSpecs(deps: SpecDeps): Specs {
  const toSpecAsset = ({ path, bytes, blob }: AssetRef): SpecAsset => ({
    path,
    bytes,
    sha256: sha256Of(blob),
    read: () => deps.assets.read(blob),
  })

  async function spec(
    target: TargetId,
    ownerId: string,
    rest: {
      files: Files
      assets: readonly AssetRef[]
      entrypoint: string
      env: Record<string, string>
      storage: boolean
      sequence: number
    },
  ): Promise<AppSpec> {
    return {
      key: targetKey(target),
      appId: target.appId,
      ownerId,
      version: target.version,
      files: rest.files,
      assets: rest.assets.map(toSpecAsset),
      artifacts: [],
      entrypoint: rest.entrypoint,
      storage: rest.storage,
      env: {
        ...rest.env,
        PORT,
        PLATFORM_MONGO_URI: await deps.databases.uriFor(ownerId),
        FP_APP_ID: target.appId,
        FP_VERSION: String(target.version),
        ...(rest.storage ? { PLATFORM_DATA_DIR: STORAGE_DIR } : {}),
        // The runner gives it to FastHTML, whose own key file has no place in a read-only folder: sessions outlive a sleep.
        FP_SESSION_KEY: deriveKey(deps.secretKey, `${deps.sessionKeyPurpose} ${target.appId}`),
      },
      limits: {},
      sequence: rest.sequence,
    }
  }

  return {
    async specOf(key) {
      const target = parseTargetKey(key)
      // Both at once: someone waits for this wake.
      const version = deps.versions.load(target.appId, target.version)
      version.catch(() => undefined)
      const app = await deps.apps.findAny(target.appId)
      if (!app) throw noSuchApp(target.appId)
      // Whoever wakes it has not heard of the switch yet: its retirement may be over and forgotten. The front door looks again.
      if (app.live && target.revision < app.live.revision) throw replaced()
      const { sequence, ownerId } = app
      const { files, assets, entrypoint } = await version
      return spec(target, ownerId, {
        files: toRecord(files),
        assets,
        entrypoint,
        env: await deps.apps.openEnv(app),
        storage: app.storage,
        sequence,
      })
    },
    trial: (userId, id, app, sequence) =>
      spec({ appId: id, version: 0, revision: 0 }, userId, {
        ...app,
        assets: [],
        env: {},
        storage: false,
        sequence,
      }),
  }
}

function replaced(): ScalerError {
  return new ScalerError('SCALER_RETIRED', 'This version of the app has been replaced by another one.', {
    retryAfter: 0,
  })
}
