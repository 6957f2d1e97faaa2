import type { Readable } from 'node:stream'
import type { TargetKey } from '@fp/scaler'
import type { PlatformEvent } from '../events.ts'
import type { EventLoopDelay } from '../plugins/event-loop.ts'
import type { RuntimeCapabilities, RuntimeCleanup, RuntimeLogs, RuntimeTrial } from '../runtime/runtime.ts'
import type { Targets } from '../runtime/targets.ts'

/**
 * What the API can request from the gate: the process with the front door, the activator and the runtime. The gate depends
 * on nothing of the API and reads what it needs from MongoDB, so apps are served and woken while the API restarts.
 *
 * In the gate's own process it is an object (`gate/local.ts`), in the API's process a client (`gate/channel/client.ts`).
 */
export interface Gate {
  /** Facts about the gate that do not change while it runs. */
  readonly facts: GateFacts
  readonly targets: Targets
  readonly trial: RuntimeTrial
  readonly logs: RuntimeLogs
  readonly cleanup: Pick<RuntimeCleanup, 'removeApp'>
  /** Makes the gate look the app up again at its next request. Other gates learn of the change from MongoDB's change stream. */
  forgetRoute(appId: string): Promise<void>
  /** Why no app can have storage here. Undefined: apps can have storage. */
  storageProblem(): Promise<string | undefined>
  /**
   * Sends one request to an app, through the activator like any other request, so it wakes the app. Resolves with the head of
   * the answer. Rejects with an FpError whose text is for visitors, or with the signal's reason.
   */
  call(request: AppRequest, options: { signal: AbortSignal }): Promise<AppAnswer>
  status(): Promise<GateStatus>
  /** The gate's metrics in Prometheus' text format. */
  metrics(): Promise<string>
  /** Calls `listener` with all events of targets from now on. */
  onEvent(listener: (event: PlatformEvent) => void): Disposable
}

export interface GateFacts {
  /** Where the front door listens. */
  readonly port: number
  /** The URI of the platform's own database. Secret: it contains the password of MongoDB's root user. */
  readonly mongodbUri: string
  /** `host:port` under which apps reach MongoDB, and further options of their URIs. */
  readonly appDatabases: { readonly host: string; readonly options: Readonly<Record<string, string>> }
  /** The folder of MongoDB's temporary files. Null where MongoDB is not the platform's own. */
  readonly databaseTempDir: string | null
  readonly capabilities: RuntimeCapabilities
}

export interface GateStatus {
  /** Why no app can be started at the moment. Null: apps can be started. */
  readonly runnerProblem: string | null
  /** Why the platform's own MongoDB does not answer. Null: it answers, or is not the platform's own. */
  readonly databaseProblem: string | null
  /** The processes on this machine that all apps depend on, by role. The gate is one of them. */
  readonly pids: Readonly<Record<string, number>>
  readonly eventLoopDelay: EventLoopDelay
}

export interface AppRequest {
  readonly key: TargetKey
  /** The app's own host name. */
  readonly host: string
  readonly method: string
  /** Includes the query. */
  readonly path: string
  /** Hop-by-hop headers are dropped. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Readable
  /** The client that the app sees. */
  readonly client: { readonly address: string; /** `http` or `https` */ readonly scheme: string }
}

export interface AppAnswer {
  readonly status: number
  /** Without hop-by-hop headers. */
  readonly headers: Readonly<Record<string, string>>
  /** Arrives as the app sends it. Errors are FpErrors. Destroy the stream to end the request. */
  readonly body: Readable
  /** Whether the request waited for a start of the app. */
  readonly coldStart: boolean
}
