import { Admission } from './admission.ts'
import type { AwakeRoom } from './awake-room.ts'
import type { Clock } from './clock.ts'
import { Health } from './health.ts'
import { KeepWarm } from './keep-warm.ts'
import { Lifecycle } from './lifecycle.ts'
import type { Observer } from './observer.ts'
import { CheckedPolicy } from './policy.ts'
import { Replicas } from './replicas.ts'
import { ScaleQueue } from './scale-queue.ts'
import type { TargetLock, TargetLockEvents } from './target-lock.ts'
import type { Driver, Endpoint, TargetKey, TargetPhase, TargetPolicy } from './types.ts'
import type { WakeTurn } from './wake-turns.ts'

/** The parts of an activator that its targets use. */
export interface TargetContext {
  readonly clock: Clock
  readonly observer: Observer
  policy(key: TargetKey): TargetPolicy
  keepAwake(key: TargetKey): boolean | Promise<boolean>
  /** Calls the driver's `scale`. Limits how many calls to scale to zero run at once, to protect the driver. */
  scale(
    key: TargetKey,
    replicas: number,
    options?: { remove?: readonly string[]; signal?: AbortSignal | undefined },
  ): ReturnType<Driver['scale']>
  /** See Driver.probe. */
  probe(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
  /** Limits how many targets are awake. */
  readonly room: AwakeRoom | undefined
  /** The target's place in the queue that limits how many targets are woken at once. */
  wakeTurn(key: TargetKey): WakeTurn
  lock(key: TargetKey, events: TargetLockEvents): TargetLock
  /** Drops the target: it has no state left and no pending work. */
  forget(key: TargetKey, target: object): void
}

/** What the parts tell their target, and ask it. */
export interface TargetEvents {
  /** Whether the target grants no more leases. */
  isRetired(): boolean
  /** The lifecycle has entered a phase. */
  entered(phase: TargetPhase): void
  /** A generation has ended. */
  ended(): void
  /** The last lease has been released. */
  unused(): void
  /** The endpoint does not exist any more, although the driver reports it. */
  dead(endpointId: string): void
  /** An endpoint that was dead answers again. */
  alive(endpointId: string): void
  /** A warm window may have begun or ended. */
  due(): void
  /** A scale call has settled. */
  settled(): void
  lockChanged(): void
  /** Another activator retires the target. */
  retiredElsewhere(): void
  /** Aborts when the present wake ends without success. */
  wakeSignal(): AbortSignal | undefined
}

/** The parts of one target that its wake and its sleep use. */
export interface TargetParts extends Pick<TargetEvents, 'isRetired' | 'ended'> {
  readonly key: TargetKey
  readonly context: TargetContext
  readonly lifecycle: Lifecycle
  readonly admission: Admission
  readonly lock: TargetLock
  readonly replicas: Replicas
  readonly health: Health
  readonly keepWarm: KeepWarm
  readonly scaling: ScaleQueue
  policy(): TargetPolicy
}

export function createParts(key: TargetKey, context: TargetContext, events: TargetEvents): TargetParts {
  const { clock, observer } = context
  const failed = (error: Error): void => observer.error?.(error, key)
  const checked = new CheckedPolicy(() => context.policy(key), failed)
  const policy = (): TargetPolicy => checked.get()
  const lifecycle = new Lifecycle(events.entered)
  const scaling = new ScaleQueue(events.settled)
  const keepWarm = new KeepWarm(clock, policy, events.due)
  const admission = new Admission({
    clock,
    policy,
    lock: () => lock,
    arrived: () => replicas.arrived(),
    loadChanged: () => replicas.loadChanged(),
    unused: events.unused,
  })
  const { endpoints } = admission
  const lock = context.lock(key, {
    changed: events.lockChanged,
    retired: events.retiredElsewhere,
    demand: () => admission.demand,
  })
  const health = new Health({
    clock,
    endpoints,
    probe: (endpoint, signal) => context.probe(key, endpoint, signal),
    changed: () => {
      admission.count()
      lock.balance()
    },
    dead: ({ id }) => events.dead(id),
    alive: ({ id }) => events.alive(id),
  })
  const replicas = new Replicas({
    clock,
    endpoints,
    lock,
    policy,
    load: () => admission.inFlight + admission.queued,
    keptWarm: () => keepWarm.replicas,
    drainingChanged: () => admission.count(),
    scale: (wanted, remove) => context.scale(key, wanted, { remove, signal: events.wakeSignal() }),
    enqueue: (scale) => scaling.run(scale),
    scaled: (change) => observer.scaled?.(key, change),
    failed,
  })
  const { isRetired, ended } = events
  return {
    key,
    context,
    lifecycle,
    admission,
    lock,
    replicas,
    health,
    keepWarm,
    scaling,
    policy,
    isRetired,
    ended,
  }
}
