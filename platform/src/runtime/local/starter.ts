import type { Logger } from 'pino'
import { toWire, type AppLimits } from '../limits.ts'
import { requireNoArtifacts, uidOf, type AppSpec } from '../runtime.ts'
import { openDatabase, type DatabaseSockets } from './database.ts'
import type { VersionFolders } from './files.ts'
import { logTag } from './log-format.ts'
import type { AppLogs } from './logs.ts'
import type { Manager } from './manager.ts'
import type { InstanceEvent, StartRequest } from './protocol.ts'
import type { Storage } from './storage.ts'

export interface StarterDeps {
  readonly manager: Pick<Manager, 'report' | 'start'>
  readonly folders: Pick<VersionFolders, 'of'>
  readonly logs: Pick<AppLogs, 'prepare'>
  readonly storage: Pick<Storage, 'attach'>
  /** Bytes that an app may keep in its storage. */
  readonly storageBytes: number
  readonly databases: DatabaseSockets | undefined
  /** The limits of apps whose spec has no others. */
  readonly limits: AppLimits
  readonly allowUnsandboxed: boolean
  readonly log: Logger
}

/** What an instance is started for: to serve requests at a socket, or to load the app and end. */
export type StartPurpose = { readonly mode: 'serve'; readonly socket: string } | { readonly mode: 'check' }

export interface StartOptions {
  readonly id: string
  readonly purpose: StartPurpose
  /** Receives all events of the instance; `exited` is the last. */
  readonly onEvent: (event: InstanceEvent) => void
  readonly signal?: AbortSignal
}

/** Starts an instance of an app. Rejects if the request could not be sent; the instance then never runs. */
export type Starter = (spec: AppSpec, options: StartOptions) => Promise<void>

/** Prepares files, log, database socket and storage of a start, and sends the request to the manager. */
export function createStarter(deps: StarterDeps): Starter {
  const { manager, storage, log } = deps

  function requireSandbox(): void {
    const { minimum, missing } = manager.report
    if (minimum || deps.allowUnsandboxed) return
    const reasons = missing.map(({ mechanism, why }) => `${mechanism} (${why})`).join(', ')
    throw new Error(
      `Apps cannot run here: the sandbox lacks ${reasons}. Set FP_ALLOW_UNSANDBOXED=1 to run them without.`,
    )
  }

  function limitsOf(spec: AppSpec): AppLimits {
    const limits = { ...deps.limits, ...spec.limits }
    // One file may fill the storage.
    return spec.storage ? { ...limits, fileBytes: Math.max(limits.fileBytes, deps.storageBytes) } : limits
  }

  async function requestFor(
    spec: AppSpec,
    { id, purpose }: StartOptions,
    env: AppSpec['env'],
  ): Promise<StartRequest> {
    const uid = uidOf(spec)
    const [app_dir, logFile] = await Promise.all([deps.folders.of(spec), deps.logs.prepare(spec.appId)])
    return {
      op: 'start',
      id,
      app_dir,
      entrypoint: spec.entrypoint,
      env,
      log: logFile,
      log_tag: logTag(spec.appId, id),
      uid,
      gid: uid,
      user: spec.ownerId,
      limits: toWire(limitsOf(spec)),
      ...purpose,
    }
  }

  /** Keeps the storage attached until the app has mounted it, or has ended. */
  async function sendWithStorage(
    spec: AppSpec,
    request: StartRequest,
    { onEvent, signal }: Pick<StartOptions, 'onEvent' | 'signal'>,
  ): Promise<void> {
    if (!spec.storage) return manager.start(request, onEvent, signal)
    const attached = await storage.attach(spec.appId, request.uid)
    const release = (): void => {
      attached.release().catch((error: unknown) => log.warn(error, 'could not release the storage of an app'))
    }
    const releasing = (event: InstanceEvent): void => {
      const hasMounted = event.event === 'phase' && event.phase !== 'forked'
      if (hasMounted || event.event === 'exited') release()
      onEvent(event)
    }
    try {
      await manager.start({ ...request, storage: attached.device }, releasing, signal)
    } catch (error) {
      release()
      throw error
    }
  }

  return async (spec, options) => {
    requireSandbox()
    requireNoArtifacts(spec)
    const database = await openDatabase(spec, options.onEvent, deps.databases, manager.report.minimum)
    try {
      const request = await requestFor(spec, options, database.env)
      await sendWithStorage(spec, request, { ...options, onEvent: database.onEvent })
    } catch (error) {
      database.close()
      throw error
    }
  }
}
