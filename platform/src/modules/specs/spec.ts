import type { Files } from '@fp/sdk/wire'
import { STORAGE_DIR, type AppSpec, type RuntimeCapabilities, type SpecAsset } from '../../runtime/runtime.ts'
import { targetKey, type TargetId } from '../../runtime/targets.ts'
import type { DatabaseService } from '../databases/service.ts'
import { deriveKey } from '../secrets/derive.ts'

/** Apps listen on the runner's socket. The port is for code that requires one in its environment. */
const PORT = '8000'

export interface SpecDeps {
  readonly databases: Pick<DatabaseService, 'uriFor'>
  readonly secretKey: Buffer
  /** Part of the text from which apps' session keys are derived. Another text gives each app another key. */
  readonly sessionKeyPurpose: string
}

export interface SpecContents {
  readonly files: Files
  readonly assets: readonly SpecAsset[]
  readonly entrypoint: string
  readonly env: Readonly<Record<string, string>>
  readonly storage: boolean
  readonly sequence: number
}

/** Where apps once shared memory, their session keys are replaced, as are the passwords of databases. */
export function sessionKeyPurpose(capabilities: Pick<RuntimeCapabilities, 'mustReplaceOldSecrets'>): string {
  return capabilities.mustReplaceOldSecrets ? 'session 1' : 'session'
}

/** Everything that is needed to start the target. Store it nowhere: it contains secrets. */
export async function buildSpec(
  deps: SpecDeps,
  target: TargetId,
  ownerId: string,
  contents: SpecContents,
): Promise<AppSpec> {
  return {
    key: targetKey(target),
    appId: target.appId,
    ownerId,
    version: target.version,
    ...contents,
    artifacts: [],
    limits: {},
    env: {
      ...contents.env,
      PORT,
      PLATFORM_MONGO_URI: await deps.databases.uriFor(ownerId),
      FP_APP_ID: target.appId,
      FP_VERSION: String(target.version),
      ...(contents.storage ? { PLATFORM_DATA_DIR: STORAGE_DIR } : {}),
      // The runner gives it to FastHTML, which cannot store a key file in a read-only folder. So sessions outlive a sleep.
      FP_SESSION_KEY: deriveKey(deps.secretKey, `${deps.sessionKeyPurpose} ${target.appId}`),
    },
  }
}
