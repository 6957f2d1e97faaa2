export type { ActivatorOptions } from './activator-options.ts'
export { createActivator } from './create-activator.ts'
export { DEFAULT_POLICY } from './policy.ts'
export { DEFAULT_SCALING } from './autoscaler.ts'
export { systemClock, type Clock } from './clock.ts'
export { createMemoryCoordination } from './coordination/memory.ts'
export type { Members } from './coordination/members.ts'
export type { Coordination, Shared } from './coordination/types.ts'
export { ScalerError, SCALER_STATUS, type ScalerErrorCode } from './errors.ts'
export {
  FairQueue,
  QueueFull,
  type EnterQueueOptions,
  type FairQueueLimits,
  type Turn,
} from './fair-queue.ts'
export type { Observer } from './observer.ts'
export type { Settings } from './checks.ts'
export type { PolicyOption } from './policy.ts'
export { PROBE_INTERVAL, untilReady } from './readiness.ts'
export type {
  AcquireOptions,
  Activator,
  Driver,
  Endpoint,
  EndpointFault,
  Failure,
  Lease,
  Phase,
  ScaleOptions,
  ScalingPolicy,
  TargetKey,
  TargetPhase,
  TargetPolicy,
  TargetState,
  TargetStats,
  WarmWindow,
} from './types.ts'
export { DEFAULT_WAKES, type WakeLimits } from './wake-turns.ts'
export type { AwakeLimits } from './awake-room.ts'
