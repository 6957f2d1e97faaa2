import type { DeploymentStage } from '@fp/sdk/wire'
import type { Failure } from '../app-records/types.ts'

export interface StageEvent {
  readonly stage: DeploymentStage
  readonly at: Date
  readonly message?: string
  readonly failure?: Failure
}

export interface DeploymentRecord {
  readonly deploymentId: string
  readonly appId: string
  readonly version: number
  readonly kind: 'deploy' | 'rollback'
  /** Position among the app's deployments. The one with the highest order wins. */
  readonly order: number
  readonly stage: DeploymentStage
  readonly events: readonly StageEvent[]
  readonly failure: Failure | null
  /** The replica that accepted the deployment. */
  readonly replica: string
  readonly createdAt: Date
  readonly finishedAt: Date | null
}

export interface DeploymentEnd {
  readonly version: number
  /** The code of the failure; null when the version went live. */
  readonly failure: string | null
}

export function isFinal(stage: DeploymentStage): boolean {
  return stage === 'ready' || stage === 'failed'
}
