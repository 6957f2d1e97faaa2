import type { Driver, TargetKey } from '@fp/scaler'
import type { AppLimits } from './limits.ts'

/** Where apps find their storage; PLATFORM_DATA_DIR names it. */
export const STORAGE_DIR = '/data'

/** A file that is kept as bytes, not as text. Its content is read only where a runtime does not have it yet. */
export interface SpecAsset {
  readonly path: string
  readonly bytes: number
  /** Of the content, in hex. */
  readonly sha256: string
  read(): Promise<Buffer>
}

/**
 * Something that is built once and that any number of starts use, read-only: installed Python packages. It is named by what
 * it was built from, so it never changes and is never copied into a version's files.
 *
 * No runtime can mount one yet, so both refuse a spec that has any (`requireNoArtifacts`). The local runtime will bind the
 * artifact's folder in the data folder into the sandbox's root; the Kubernetes runtime will mount it as a volume, which a
 * pod of the warm pool cannot do: it runs already. The runner will add the folder to `sys.path`.
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
  /** The user whose app it is. */
  readonly ownerId: string
  readonly version: number
  /** Path → text of this version's files. */
  readonly files: Readonly<Record<string, string>>
  readonly assets: readonly SpecAsset[]
  readonly artifacts: readonly SpecArtifact[]
  readonly entrypoint: string
  /** Whether the app has a folder that outlives its sleeps and deploys, at STORAGE_DIR. */
  readonly storage: boolean
  /** What the app sees in `os.environ`, database URI included. */
  readonly env: Readonly<Record<string, string>>
  /** Where the app's limits differ from the defaults of the runtime. */
  readonly limits: Partial<AppLimits>
  /** Number that is unique to the app on this installation; the local runtime derives the app's uid from it. */
  readonly sequence: number
}

/** Throws where the app needs what no runtime can mount yet. */
export function requireNoArtifacts({ artifacts }: Pick<AppSpec, 'artifacts'>): void {
  const [first] = artifacts
  if (!first) return
  throw new Error(
    `The app needs the artifact ${first.kind} ${first.digest}, which this runtime cannot mount. Deploy the app without it.`,
  )
}

/** Why an app could not start or ended. `message` is in its owner's words. */
export interface AppFailureReport {
  readonly code: string
  readonly message: string
  readonly traceback: string | null
  readonly file: string | null
  readonly line: number | null
}

/** One that nothing is known of but this. */
export function plainFailure(code: string, message: string): AppFailureReport {
  return { code, message, traceback: null, file: null, line: null }
}

export type CheckResult = { readonly ok: true } | { readonly ok: false; readonly failure: AppFailureReport }

/** What a runtime asks of, and tells to, the parts above it. */
export interface RuntimeBinding {
  /** Everything that starting the target takes. Rejects when the target was replaced or its app is gone. */
  specOf(key: TargetKey): Promise<AppSpec>
  /** The targets that serve the apps now. */
  liveTargets(): Promise<readonly TargetKey[]>
  /** A process or pod of the target ended by itself while the activator was not using it. */
  crashed(key: TargetKey, failure: AppFailureReport): void
  /** Something happened to a target that is starting; `message` is for the app's owner. */
  progress(key: TargetKey, message: string): void
}

/** How the runtimes differ, for those who must act differently. */
export interface RuntimeCapabilities {
  /** Apps keep running when the platform ends, so some may be awake when it starts. */
  readonly appsOutlivePlatform: boolean
  /** All replicas of the platform see and scale the same apps, so they must coordinate. */
  readonly sharedByReplicas: boolean
  /** Apps run on the machine of the platform: each start takes time of its cores. */
  readonly appsOnThisMachine: boolean
  /** Apps use this machine's loopback interface: a request that comes from there may come from an app. */
  readonly appsOnLoopback: boolean
  /** In old versions apps could read each other's memory: secrets that apps were given then must be replaced. */
  readonly appsSharedMemoryOnce: boolean
}

/** A line of an app's log. */
export interface LogLine {
  /** UTC, in ISO 8601. Null: the line is from before times were kept. A line that has none has that of the line before it. */
  readonly time: string | null
  /** `output`: stdout or stderr, where the runtime cannot tell which. `platform`: written by the platform, for the owner. */
  readonly stream: 'stdout' | 'stderr' | 'output' | 'platform'
  /** The process or pod that wrote it; null where that is not known, and for lines of the platform. */
  readonly instance: string | null
  /** The version of the app that wrote it; null where `instance` is. */
  readonly version: number | null
  readonly text: string
}

export interface RuntimeLogs {
  /** The newest lines of an app, oldest first. */
  tail(appId: string, options: { lines: number }): Promise<LogLine[]>
  /** Adds a line of the platform: something that the app's owner should know. */
  note(appId: string, text: string): Promise<void>
}

export interface RuntimeHealth {
  /** What the person who starts the platform should know of the runtime. */
  readonly notes: readonly string[]
  /** Why no app can be started at the moment, if so. */
  problem(): string | undefined
  /** Why no app can have storage here, if so. */
  storageProblem(): string | undefined | Promise<string | undefined>
  /** The processes on this machine that all apps depend on, by their role. */
  pids(): Readonly<Record<string, number>>
}

export interface RuntimeTrial {
  /** Loads the app in the sandbox without serving it. Rejects with an AbortError only. */
  check(spec: AppSpec, options: { signal: AbortSignal }): Promise<CheckResult>
}

/** Removes what a runtime keeps between starts. */
export interface RuntimeCleanup {
  /** The target was retired and will not start again. */
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
  /** Refuses to start targets before `start`. */
  readonly driver: Driver
  readonly logs: RuntimeLogs
  readonly health: RuntimeHealth
  readonly trial: RuntimeTrial
  readonly cleanup: RuntimeCleanup
  /** Binds the runtime to the parts above it, which must be ready to be asked. Once. */
  start(binding: RuntimeBinding): void
  /** Tells the runtime that the database which the platform runs is another process now. */
  databaseRestarted(): void
  close(): Promise<void>
}
