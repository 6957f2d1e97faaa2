import type { AppFailure, DeploymentEvent, DeploymentStage } from '@fp/sdk/wire'

export type StepName = Exclude<DeploymentStage, 'failed'>
export interface Step {
  readonly name: StepName
  readonly state: 'waiting' | 'active' | 'done' | 'failed'
  /** Times in ms since 1970, by the server's clock. */
  readonly started?: number
  readonly ended?: number
  readonly message?: string
}
export interface Progress {
  readonly steps: readonly Step[]
  readonly outcome: 'running' | 'ready' | 'failed'
  readonly failure: AppFailure | undefined
}

const NAMES: readonly StepName[] = ['validating', 'creating', 'starting', 'ready']

/** A deployment that was just asked for. */
export function begin(): Progress {
  return {
    steps: NAMES.map((name, index) => ({ name, state: index === 0 ? 'active' : 'waiting' })),
    outcome: 'running',
    failure: undefined,
  }
}

/** The progress after an event. Steps that the server skipped count as done. Events after the outcome change nothing. */
export function advance(progress: Progress, event: DeploymentEvent): Progress {
  if (progress.outcome !== 'running') return progress
  const at = Date.parse(event.at)
  if (event.stage === 'failed') return fail(progress, at, event.failure, event.message)
  const reached = NAMES.indexOf(event.stage)
  const ready = event.stage === 'ready'
  const steps = progress.steps.map((step, index): Step => {
    if (index < reached) return step.state === 'done' ? step : { ...step, state: 'done', ended: at }
    if (index > reached) return step
    const message = event.message === undefined ? {} : { message: event.message }
    const ended = ready ? { ended: at } : {}
    // A step of which several events tell began with the first of them.
    return { ...step, state: ready ? 'done' : 'active', started: step.started ?? at, ...ended, ...message }
  })
  return { ...progress, steps, outcome: ready ? 'ready' : 'running' }
}

/** Marks the active step as failed. */
export function fail(progress: Progress, at: number, failure?: AppFailure, message?: string): Progress {
  const steps = progress.steps.map((step): Step => {
    if (step.state !== 'active') return step
    return { ...step, state: 'failed', ended: at, ...(message === undefined ? {} : { message }) }
  })
  return { steps, outcome: 'failed', failure }
}

/** How long a step took, in ms; undefined while that is not known. */
export function elapsed(step: Step): number | undefined {
  return step.started !== undefined && step.ended !== undefined ? step.ended - step.started : undefined
}

/** From the first event to the last, in ms. */
export function total(progress: Progress): number | undefined {
  const started = progress.steps.find((step) => step.started !== undefined)?.started
  const ended = progress.steps.findLast((step) => step.ended !== undefined)?.ended
  return started !== undefined && ended !== undefined ? ended - started : undefined
}
