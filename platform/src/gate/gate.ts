import type { Readable } from 'node:stream'
import type { TargetKey } from '@fp/scaler'
import type { PlatformEvent } from '../events.ts'
import type { EventLoopDelay } from '../plugins/event-loop.ts'
import type { RuntimeCapabilities, RuntimeCleanup, RuntimeLogs, RuntimeTrial } from '../runtime/runtime.ts'
import type { Targets } from '../runtime/targets.ts'

/**
 * What the API asks of the gate: the process with the front door, the activator and the runtime. The gate asks nothing of
 * the API: it reads what it needs from MongoDB, so apps are served and woken while the API restarts.
 *
 * In the gate's own process it is an object (`gate/local.ts`), in the API's process a client (`gate/channel/client.ts`).
 */
export interface Gate {
  /** What the gate is and has, which never changes while it runs. */
  readonly facts: GateFacts
  readonly targets: Targets
  readonly trial: RuntimeTrial
  readonly logs: RuntimeLogs
  readonly cleanup: Pick<RuntimeCleanup, 'removeApp'>
  /** The gate looks the app up anew at its next request. Other gates hear of the change from MongoDB. */
  forgetRoute(appId: string): Promise<void>
  /** Why no app can have storage here, if so. */
  storageProblem(): Promise<string | undefined>
  /**
   * Sends one request to an app, through the activator like any other: it wakes the app. Resolves with the head of the
   * answer; rejects with an FpError that is meant for visitors, or with the signal's reason.
   */
  call(request: AppRequest, options: { signal: AbortSignal }): Promise<AppAnswer>
  status(): Promise<GateStatus>
  /** The gate's metrics in Prometheus' text format. */
  metrics(): Promise<string>
  /** Hears what happens to targets from now on. */
  onEvent(listener: (event: PlatformEvent) => void): Disposable
}

export interface GateFacts {
  /** Where the front door listens. */
  readonly port: number
  /** The platform's own database. Secret: it has the password of MongoDB's root user in it. */
  readonly mongodbUri: string
  /** `host:port` under which apps reach MongoDB, and more options of their addresses. */
  readonly appDatabases: { readonly host: string; readonly options: Readonly<Record<string, string>> }
  /** The folder of MongoDB's temporary files, where MongoDB is the platform's own. */
  readonly databaseTempDir: string | null
  readonly capabilities: RuntimeCapabilities
}

export interface GateStatus {
  /** Why no app can be started at the moment, if so. */
  readonly runnerProblem: string | null
  /** Why the platform's own MongoDB does not answer, if so. */
  readonly databaseProblem: string | null
  /** The processes on this machine that all apps depend on, by their role; the gate is one. */
  readonly pids: Readonly<Record<string, number>>
  readonly eventLoopDelay: EventLoopDelay
}

export interface AppRequest {
  readonly key: TargetKey
  /** The app's own host name. */
  readonly host: string
  readonly method: string
  /** With the query. */
  readonly path: string
  /** Headers of one connection are dropped. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Readable
  /** Who the app is told has sent the request. */
  readonly client: { readonly address: string; /** `http` or `https` */ readonly scheme: string }
}

export interface AppAnswer {
  readonly status: number
  /** Without those of one connection. */
  readonly headers: Readonly<Record<string, string>>
  /** Arrives as the app sends it. Fails with an FpError. Destroy it to end the request. */
  readonly body: Readable
  /** Whether the request waited for a start of the app. */
  readonly coldStart: boolean
}
