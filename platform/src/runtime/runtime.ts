import type { Driver, TargetKey } from '@fp/scaler'

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
  readonly entrypoint: string
  /** Whether the app has a folder that outlives its sleeps and deploys, at STORAGE_DIR. */
  readonly storage: boolean
  /** What the app sees in `os.environ`, database URI included. */
  readonly env: Readonly<Record<string, string>>
  /** Number that is unique to the app on this installation; the local runtime derives the app's uid from it. */
  readonly sequence: number
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

/**
 * Where apps live. `local` runs them as sandboxed processes of this machine, `kubernetes` as Deployments.
 * The activator drives `driver`; the modules above use the rest.
 */
export interface Runtime {
  readonly driver: Driver
  /** What the person who starts the platform should know of it. */
  readonly notes: readonly string[]
  /** Whether apps share this machine's loopback: what comes from there may then come from an app. */
  readonly appsOnLoopback?: boolean
  /** Why no app can be started at the moment, if so. */
  problem(): string | undefined
  /** Why no app can have storage here, if so. */
  storageProblem(): string | undefined | Promise<string | undefined>
  /** Begins what it does of its own accord. Once, when the modules above can be asked. */
  start(): void
  /** The processes on this machine that all apps depend on, by their role. */
  pids?(): Readonly<Record<string, number>>
  /** The database that the platform runs is another process now. */
  databaseRestarted?(): void
  /** Whether all replicas of the platform see the same apps, which outlive them. Default: each has its own, which end with it. */
  readonly shared?: boolean
  /** Loads the app in the sandbox without serving it. Rejects with an AbortError only. */
  check(spec: AppSpec, options: { signal: AbortSignal }): Promise<CheckResult>
  /** The newest lines an app wrote to stdout and stderr, oldest first. */
  logs(appId: string, options: { lines: number }): Promise<string[]>
  /** Adds a line of the platform's to what the app wrote: something its owner should know. */
  note(appId: string, text: string): Promise<void>
  /** The target was put to sleep for good: what is kept for its next start is not needed any more. */
  retired(key: TargetKey): Promise<void>
  /** Forgets everything kept of an app (files, logs). The app must be asleep. */
  remove(appId: string): Promise<void>
  close(): Promise<void>
}
