import type { AppFailureReport } from '../../runtime/runtime.ts'
import type { SealedEnvVar } from '../secrets/env-vars.ts'

/** What serves an app's requests. */
export interface Live {
  readonly version: number
  /** Together with the version it names the target. */
  readonly revision: number
  /** The version's hash: of its files and assets, and of the entrypoint if its owner had set one. */
  readonly hash: string
  /** The order of the deployment that made it live. An older deployment never replaces it. */
  readonly order: number
  readonly deploymentId: string
}

export interface Failure extends AppFailureReport {
  readonly at: Date
}

export interface AppRecord {
  readonly appId: string
  readonly ownerId: string
  readonly name: string
  readonly idleTimeoutS: number
  /** What to serve, as its owner set it. Null: the platform finds it in the files. */
  readonly entrypoint: string | null
  /** Whether the app has a folder whose files outlive its sleeps and deploys. */
  readonly storage: boolean
  /** Unique on this installation; grows from app to app and is never reused. */
  readonly sequence: number
  readonly env: readonly SealedEnvVar[]
  /** The last revision taken for a target; see TargetId. */
  readonly revision: number
  /** The revision with which the present environment came: targets of a lower one run with an older environment. */
  readonly envRevision: number
  readonly live: Live | null
  /** The newest failure of a live target, or of a deployment while nothing was live. */
  readonly lastFailure: Failure | null
  /** When the live target last answered ready. */
  readonly startedAt: Date | null
  /** When the live target was last put to sleep. */
  readonly sleptAt: Date | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** An app as lists show it: without its environment, and without the traceback of its failure. */
export type AppSummary = Omit<AppRecord, 'env'>

/** What the front door asks for; see ingress/routes.ts. */
export interface LiveRoute {
  readonly appId: string
  readonly ownerId: string
  readonly live: Pick<Live, 'version' | 'revision'> | null
  readonly idleTimeoutS: number
  readonly storage: boolean
}
