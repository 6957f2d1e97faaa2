import type { AppFailureReport } from '../../runtime/runtime.ts'
import type { SealedEnvVar } from '../secrets/env-vars.ts'

/** What serves an app's requests. */
export interface Live {
  readonly version: number
  /** With the version it names the target. */
  readonly revision: number
  /** Of the version's files. */
  readonly hash: string
  /** Of the deployment that made it live; an older deployment never replaces it. */
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
  /** What to serve, as its owner set it; null: it is looked for in the files. */
  readonly entrypoint: string | null
  /** Whether it has a folder whose files outlive its sleeps and deploys. */
  readonly storage: boolean
  /** Unique on this installation, growing, never reused. */
  readonly sequence: number
  readonly env: readonly SealedEnvVar[]
  /** Last number taken for a target; see TargetId. */
  readonly revision: number
  /** The revision that brought the present environment: targets of a lower one run with an older environment. */
  readonly envRevision: number
  readonly live: Live | null
  /** The newest failure of what was live, or of a deployment while nothing was. */
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
