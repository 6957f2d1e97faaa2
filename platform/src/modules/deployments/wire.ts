import type { Deployment, DeploymentEvent } from '@fp/sdk/wire'
import { failureToWire } from '../app-records/wire.ts'
import type { DeploymentRecord, StageEvent } from './types.ts'

export function deploymentToWire(deployment: DeploymentRecord): Deployment {
  const { deploymentId } = deployment
  return {
    deployment_id: deploymentId,
    app_id: deployment.appId,
    version: deployment.version,
    kind: deployment.kind,
    stage: deployment.stage,
    events: deployment.events.map((event) => eventToWire(deploymentId, event)),
    failure: deployment.failure && failureToWire(deployment.failure),
    created_at: deployment.createdAt.toISOString(),
    finished_at: deployment.finishedAt?.toISOString() ?? null,
  }
}

export function eventToWire(deploymentId: string, event: StageEvent): DeploymentEvent {
  return {
    deployment_id: deploymentId,
    stage: event.stage,
    at: event.at.toISOString(),
    ...(event.message === undefined ? {} : { message: event.message }),
    ...(event.failure === undefined ? {} : { failure: failureToWire(event.failure) }),
  }
}
