import PQueue from 'p-queue'
import { systemClock, type Clock } from './clock.ts'
import { Membership } from './coordination/membership.ts'
import type { Coordination } from './coordination/types.ts'
import { activatorClosed } from './errors.ts'
import type { Observer } from './observer.ts'
import { LocalTargetLock } from './target-lock.ts'
import { Target, type TargetContext } from './target.ts'
import type { Activator, Driver, TargetKey, TargetPolicy } from './types.ts'
import { DEFAULT_WAKES, WakeTurns, type WakeLimits } from './wake-turns.ts'

/** Many targets that fall idle at once are scaled down this many at a time. */
const CONCURRENT_SCALE_DOWNS = 8

/** What holds where no policy is given: at most one replica, asleep after 15 minutes without a request. */
export const DEFAULT_POLICY: TargetPolicy = {
  concurrency: 0,
  queueDepth: 1_000,
  queueBytes: 256 * 1024 * 1024,
  minReplicas: 0,
  maxReplicas: 1,
  readinessTimeout: 60_000,
  idleTimeout: 15 * 60_000,
}

/** Everything but the driver has a default. */
export interface ActivatorOptions {
  readonly driver: Driver
  /** Asked at each decision, so that a changed policy holds from the next one on. Synchronous and cheap. */
  readonly policy?: (key: TargetKey) => TargetPolicy
  /**
   * Asked before an idle target is put to sleep: true while it has work that no lease shows. It is then asked again one
   * idle timeout later. Should it fail, the target stays awake.
   */
  readonly keepAwake?: (key: TargetKey) => boolean | Promise<boolean>
  /** Bounds the wakes of all targets together. What is not given is DEFAULT_WAKES'. */
  readonly wakes?: Partial<WakeLimits>
  /** Shared by all activators in front of the same targets. Default: this one has its targets to itself. */
  readonly coordination?: Coordination
  /** Names this activator among them, and is never used again. Default: a random one. Not used with `coordination.members`. */
  readonly instance?: string
  readonly clock?: Clock
  readonly observer?: Observer
}

/** Starts watching the driver and adopts the targets that already run. */
export async function createActivator(options: ActivatorOptions): Promise<Activator> {
  const { driver, policy = () => DEFAULT_POLICY, clock = systemClock, observer = {} } = options
  const targets = new Map<TargetKey, Target>()
  const wakes = new WakeTurns(clock, { ...DEFAULT_WAKES, ...options.wakes })
  const downs = new PQueue({ concurrency: CONCURRENT_SCALE_DOWNS })
  const stopping = new AbortController()
  let closed = false
  const member = options.coordination
    ? await Membership.join(options.coordination, {
        id: options.instance ?? crypto.randomUUID(),
        clock,
        onError: (error) => observer.error?.(error),
      })
    : undefined

  const context: TargetContext = {
    clock,
    observer,
    policy,
    keepAwake: options.keepAwake ?? (() => false),
    scale(key, replicas, remove) {
      const signal = member ? AbortSignal.any([stopping.signal, member.fence]) : stopping.signal
      if (replicas > 0) return driver.scale(key, replicas, { signal, ...(remove ? { remove } : {}) })
      return downs.add(async () => {
        if (closed) throw activatorClosed()
        return driver.scale(key, 0, { signal })
      })
    },
    wakeTurn: (key) => wakes.of(key),
    lock: (key, events) => member?.lock(key, events) ?? new LocalTargetLock(),
    forget(target) {
      // A retired target may outlive its place here; the one that took it is not to be forgotten.
      if (targets.get(target.key) === target) targets.delete(target.key)
    },
  }

  function targetOf(key: TargetKey): Target {
    let target = targets.get(key)
    if (!target) targets.set(key, (target = new Target(key, context)))
    return target
  }

  const watch = await driver.watch((key, state) => {
    if (closed) return
    const target = targets.get(key)
    if (target) target.update(state)
    else if (state.ready.length > 0) targetOf(key).update(state)
  })

  return {
    async acquire(key, acquireOptions = {}) {
      if (closed) throw activatorClosed()
      // Before a target is made for it: nobody would ever forget one that was not asked for.
      acquireOptions.signal?.throwIfAborted()
      return targetOf(key).acquire(acquireOptions)
    },
    tryAcquire: (key) => targets.get(key)?.tryAcquire(),
    stats: (key) => targets.get(key)?.stats(),
    *targets() {
      for (const [key, target] of targets) yield [key, target.stats()]
    },
    refresh(key) {
      if (!closed) targetOf(key).refresh()
    },
    sleep: async (key) => (await targets.get(key)?.sleep()) ?? true,
    retire: async (key, retireOptions = {}) => targetOf(key).retire(retireOptions.signal),
    report: (key, endpointId, fault) => targets.get(key)?.report(endpointId, fault),
    async close(closeOptions = {}) {
      closed = true
      for (const target of targets.values()) target.close(activatorClosed())
      await Promise.all([...targets.values()].map((target) => target.drained(closeOptions.signal)))
      stopping.abort(activatorClosed())
      await watch[Symbol.asyncDispose]()
      await member?.close(closeOptions.signal)
    },
  }
}
