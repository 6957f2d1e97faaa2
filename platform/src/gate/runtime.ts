import path from 'node:path'
import type { Db } from 'mongodb'
import type { Logger } from 'pino'
import type { AppDatabases } from '../app-databases.ts'
import type { Config } from '../config.ts'
import type { Leader } from '../coordination/leader.ts'
import { createLocalRuntime } from '../runtime/local/index.ts'
import type { Runtime } from '../runtime/runtime.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')

export interface GateRuntimeDeps {
  readonly config: Config
  readonly db: Db
  readonly secretKey: Buffer
  readonly databases: Pick<AppDatabases, 'relay' | 'egress'>
  readonly leader: Leader
  /** The ids of the database's processes, if the platform runs the database. */
  readonly databasePids: () => readonly number[]
  readonly logger: Logger
}

/** The runtime that the settings choose. */
export async function createRuntime(deps: GateRuntimeDeps): Promise<Runtime> {
  const { config, databases, logger } = deps
  if (config.kubernetes) {
    // The Kubernetes client takes 60 MiB, so it is loaded only in a cluster.
    const { createKubernetesRuntime, defaultKubeConfig } = await import('../runtime/kubernetes/index.ts')
    return createKubernetesRuntime({
      kubeConfig: defaultKubeConfig(),
      settings: config.kubernetes,
      db: deps.db,
      secretKey: deps.secretKey,
      leader: deps.leader,
      log: logger,
    })
  }
  return createLocalRuntime({
    dataDir: config.dataDir,
    python: config.python,
    runnerPath: path.join(ROOT, 'runner/src'),
    allowUnsandboxed: config.allowUnsandboxed,
    freshInterpreters: !config.zygote,
    egress: databases.egress,
    storageBytes: config.storageMb * 2 ** 20,
    databasePids: () => [...deps.databasePids(), ...(databases.relay ? [databases.relay.pid()] : [])],
    ...(databases.relay && { databases: databases.relay }),
    log: logger,
  })
}
