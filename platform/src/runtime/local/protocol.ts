import type { WireLimits } from '../limits.ts'
import type { AppFailureReport } from '../runtime.ts'

/** Messages of the runner's manager: one JSON object per line on its fd 3. runner/README.md documents them. */
export interface StartRequest {
  readonly op: 'start'
  readonly id: string
  readonly mode: 'serve' | 'check'
  readonly socket?: string
  readonly app_dir: string
  /** The block device of the app's storage. */
  readonly storage?: string
  readonly entrypoint: string
  readonly env: Readonly<Record<string, string>>
  /** The file for the app's output, and the tag in the mark of each line (log-format.ts). */
  readonly log: string
  readonly log_tag: string
  readonly uid: number
  readonly gid: number
  /** The owner of the app. All apps of one user share that user's part of the machine. */
  readonly user: string
  readonly limits: WireLimits
}

export type ManagerRequest =
  | StartRequest
  | { op: 'stop'; id: string; grace_ms: number }
  | { op: 'kill'; id: string }
  | { op: 'place'; group: 'platform' | 'mongodb'; pid: number }

/** The manager's environment variable FP_NETWORK. */
export interface NetworkSettings {
  readonly mode: 'internet' | 'none' | 'list'
  readonly allowed: readonly (
    | { readonly network: string; readonly port: number | null }
    | { readonly host: string; readonly port: number | null }
  )[]
  /** The network from which apps get addresses; null: the first common private one that is free. */
  readonly addresses: string | null
  /** The folder of MongoDB's sockets, which apps see as /run/mongodb. */
  readonly mongodb: string | null
}

export interface IsolationReport {
  readonly mechanisms: Readonly<Record<string, boolean>>
  readonly missing: readonly { mechanism: string; why: string; effect: string }[]
  /** Whether the required minimum of the sandbox is available, so that code of users may run here. */
  readonly minimum: boolean
  /** How apps are connected (runner/README.md). Absent if FP_NETWORK was not given. */
  readonly network?: {
    readonly way: 'filtered' | 'isolated' | 'shared' | 'refused'
    readonly notes: readonly string[]
  }
}

export interface Hello {
  readonly event: 'hello'
  readonly pid: number
  readonly python: string
  readonly isolation: IsolationReport
  /** The memory of all apps: the sum of these lines of the file, and how many bytes they may use. Null without a memory cgroup. */
  readonly memory: {
    readonly file: string
    readonly fields: readonly string[]
    readonly limit: number
  } | null
}

export interface Exited {
  readonly event: 'exited'
  readonly id: string
  readonly code: number | null
  readonly signal: string | null
  /** `lost`: the manager has ended, and the instance with it. The manager itself never sends this. */
  readonly reason: 'stopped' | 'exited' | 'crashed' | 'out_of_memory' | 'killed' | 'lost'
  readonly message: string
}

/** Events of one started instance. `exited` is the last one and comes exactly once. */
export type InstanceEvent =
  | { readonly event: 'started'; readonly id: string; readonly pid: number }
  | { readonly event: 'phase'; readonly id: string; readonly phase: string; readonly ms: number }
  | { readonly event: 'checked'; readonly id: string; readonly kind: string; readonly variable: string }
  | {
      readonly event: 'failed'
      readonly id: string
      readonly failure: Partial<AppFailureReport> & { code: string; message: string }
    }
  | Exited

export type ManagerEvent = Hello | InstanceEvent
