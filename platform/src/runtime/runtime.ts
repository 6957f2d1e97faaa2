import type { Driver, TargetKey } from '@fp/scaler'
import type { AppLimits } from './limits.ts'
import type { LogLine } from './logs.ts'

/** Where apps find their storage. PLATFORM_DATA_DIR is set to it. */
export const STORAGE_DIR = '/data'

/** A file that is stored as bytes, not as text. Its content is read only if a runtime does not have it yet. */
export interface SpecAsset {
  readonly path: string
  readonly bytes: number
  /** SHA-256 of the content, in hex. */
  readonly sha256: string
  read(): Promise<Buffer>
}

/**
 * Installed Python packages that are built once and used read-only by any number of starts. An artifact is named by a hash of
 * what it was built from, so it never changes, and it is never copied into a version's files.
 *
 * No runtime can mount an artifact yet, so both refuse a spec that has any (`requireNoArtifacts`). The plan: the local runtime
 * binds the artifact's folder in the data folder into the sandbox's root. The Kubernetes runtime mounts it as a volume, which
 * a pod of the warm pool cannot do, as it runs already. The runner adds the folder to `sys.path`.
 */
export interface SpecArtifact {
  readonly kind: 'python-packages'
  /** SHA-256 in hex of everything that decides its content: the locked versions, the Python version, the platform. */
  readonly digest: string
}

/** Everything a runtime needs to start one instance of an app. Immutable for a given key. */
export interface AppSpec {
  readonly key: TargetKey
  readonly appId: string
  /** The app's owner. */
  readonly ownerId: string
  readonly version: number
  /** Path → text of this version's files. */
  readonly files: Readonly<Record<string, string>>
  readonly assets: readonly SpecAsset[]
  readonly artifacts: readonly SpecArtifact[]
  readonly entrypoint: string
  /** Whether the app has a folder that outlives its sleeps and deploys, at STORAGE_DIR. */
  readonly storage: boolean
  /** The app's `os.environ`, including the database URI. */
  readonly env: Readonly<Record<string, string>>
  /** Where the app's limits differ from the defaults of the runtime. */
  readonly limits: Partial<AppLimits>
  /** A number that is unique to the app on this installation. The app's uid is derived from it. */
  readonly sequence: number
}

/** Throws if the app needs artifacts, which no runtime can mount yet. */
export function requireNoArtifacts({ artifacts }: Pick<AppSpec, 'artifacts'>): void {
  const [first] = artifacts
  if (!first) return
  throw new Error(
    `The app needs the artifact ${first.kind} ${first.digest}, which this runtime cannot mount. Deploy the app without it.`,
  )
}

/** The first uid of apps. The runner uses it to try the sandbox (probe.py). */
const FIRST_UID = 200_000

/** The app's uid in both runtimes. Each app has its own, as process limits count per uid. */
export function uidOf({ sequence }: Pick<AppSpec, 'sequence'>): number {
  return FIRST_UID + sequence
}

/** Why an app could not start or ended. `message` is for its owner. */
export interface AppFailureReport {
  readonly code: string
  readonly message: string
  readonly traceback: string | null
  readonly file: string | null
  readonly line: number | null
}

/** A report with only a code and a message. */
export function plainFailure(code: string, message: string): AppFailureReport {
  return { code, message, traceback: null, file: null, line: null }
}

export type CheckResult = { readonly ok: true } | { readonly ok: false; readonly failure: AppFailureReport }

/** What a runtime needs from the parts above it, and reports to them. */
export interface RuntimeBinding {
  /** Everything that is needed to start the target. Rejects when the target was replaced or its app was deleted. */
  specOf(key: TargetKey): Promise<AppSpec>
  /** The targets that serve the apps now. */
  liveTargets(): Promise<readonly TargetKey[]>
  /** A process or pod of the target ended by itself while the activator was not using it. */
  crashed(key: TargetKey, failure: AppFailureReport): void
  /** A step of a target's start. `message` is for the app's owner. */
  progress(key: TargetKey, message: string): void
}

/** The differences between the runtimes that other parts must know. */
export interface RuntimeCapabilities {
  /** Apps keep running when the platform ends, so some may be awake when it starts. */
  readonly appsOutlivePlatform: boolean
  /** All replicas of the platform see and scale the same apps, so they must coordinate. */
  readonly sharedByReplicas: boolean
  /** Apps run on the machine of the platform, so each start takes time of its cores. */
  readonly appsOnThisMachine: boolean
  /** Apps use this machine's loopback interface, so a request from there may come from an app. */
  readonly appsOnLoopback: boolean
  /** In old versions apps could read each other's memory, so secrets that apps were given then must be replaced. */
  readonly mustReplaceOldSecrets: boolean
}

export interface RuntimeLogs {
  /** The newest lines of an app, oldest first. */
  tail(appId: string, options: { lines: number }): Promise<LogLine[]>
  /** Adds a line of the platform: something that the app's owner should know. */
  note(appId: string, text: string): Promise<void>
}

export interface RuntimeHealth {
  /** What the person who starts the platform should know about the runtime. */
  readonly notes: readonly string[]
  /** Why no app can be started at the moment. Undefined: apps can be started. */
  problem(): string | undefined
  /** Why no app can have storage here. Undefined: apps can have storage. */
  storageProblem(): string | undefined | Promise<string | undefined>
  /** The ids of the processes on this machine that all apps depend on, by role. */
  pids(): Readonly<Record<string, number>>
}

/** In bytes. */
export interface AppsMemory {
  readonly used: number
  readonly limit: number
}

export interface RuntimeTrial {
  /** Loads the app in the sandbox without serving it. Rejects with an AbortError only. */
  check(spec: AppSpec, options: { signal: AbortSignal }): Promise<CheckResult>
}

/** Removes data that a runtime keeps between starts. */
export interface RuntimeCleanup {
  /** Call it when the target was retired and will not start again. */
  removeTarget(key: TargetKey): Promise<void>
  /** Removes everything of the app: files, logs, storage. The app must be asleep. */
  removeApp(appId: string): Promise<void>
}

/**
 * Where apps run. `local` runs them as sandboxed processes of this machine, `kubernetes` as Deployments. The activator uses
 * `driver`; other consumers declare the parts they need.
 */
export interface Runtime {
  readonly capabilities: RuntimeCapabilities
  /** Before `start` is called, it refuses to start targets. */
  readonly driver: Driver
  readonly logs: RuntimeLogs
  readonly health: RuntimeHealth
  readonly trial: RuntimeTrial
  /** The memory that all apps use on this machine, and may use. Resolves to undefined where nothing counts it. */
  readonly memoryOfApps?: () => Promise<AppsMemory | undefined>
  readonly cleanup: RuntimeCleanup
  /** Binds the runtime to the parts above it, which must be ready for calls. Call it once. */
  start(binding: RuntimeBinding): void
  /** Call it when the platform has restarted its own database, which then is another process. */
  databaseRestarted(): void
  close(): Promise<void>
}
