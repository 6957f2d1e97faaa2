import { systemClock, type Clock } from './clock.ts'
import { AwakeRoom, type AwakeLimits } from './awake-room.ts'
import { accepts } from './connect.ts'
import { Membership } from './coordination/membership.ts'
import type { Coordination } from './coordination/types.ts'
import { DriverCalls } from './driver-calls.ts'
import { activatorClosed } from './errors.ts'
import type { Observer } from './observer.ts'
import { policyOf, type PolicyOption } from './policy.ts'
import { LocalTargetLock } from './target-lock.ts'
import { Target } from './target.ts'
import type { TargetContext } from './target-parts.ts'
import type { AcquireOptions, Activator, Driver, Lease, TargetKey, TargetState } from './types.ts'
import { DEFAULT_WAKES, WakeTurns, type WakeLimits } from './wake-turns.ts'

export { DEFAULT_POLICY } from './policy.ts'

/** All options except the driver have a default. */
export interface ActivatorOptions {
  readonly driver: Driver
  /**
   * The policy of all targets, or a function of the target. A function is called for each decision, so that a changed policy
   * applies from the next decision on; it must be synchronous and cheap. Fields that are not set come from DEFAULT_POLICY.
   */
  readonly policy?: PolicyOption
  /**
   * Called before an idle target is put to sleep. Returns true if the target has work for which no lease is held; the hook is
   * then called again one idle timeout later. If the hook fails, the target stays awake.
   */
  readonly keepAwake?: (key: TargetKey) => boolean | Promise<boolean>
  /** Limits the wakes of all targets together. Fields that are not set come from DEFAULT_WAKES. */
  readonly wakes?: Partial<WakeLimits>
  /** Limits how many targets are awake, and what they may use. Default: no limits. */
  readonly awake?: AwakeLimits
  /** Shared by all activators that use the same targets. Default: this is the only activator that uses its targets. */
  readonly coordination?: Coordination
  /**
   * The id of this activator among those that share the coordination; never reuse one. Default: random. Ignored with
   * `coordination.members`.
   */
  readonly instance?: string
  readonly clock?: Clock
  readonly observer?: Observer
}

/**
 * Creates an activator: starts watching the driver and takes over the targets that are already running. Rejects if the driver
 * or the coordination cannot be watched.
 */
export async function createActivator(options: ActivatorOptions): Promise<Activator> {
  const { driver, clock = systemClock, observer = {} } = options
  const policy = policyOf(options.policy)
  const targets = new Map<TargetKey, Target>()
  const wakes = new WakeTurns(clock, { ...DEFAULT_WAKES, ...options.wakes })
  const calls = new DriverCalls(clock)
  const sleep = async (key: TargetKey): Promise<boolean> => (await targets.get(key)?.sleep()) ?? true
  const room = options.awake
    ? new AwakeRoom(options.awake, {
        clock,
        stats: (key) => targets.get(key)?.stats(),
        idleTimeout: (key) => policy(key).idleTimeout,
        sleep,
        failed: (error) => observer.error?.(error),
      })
    : undefined
  const stopping = new AbortController()
  let closed = false
  const member = options.coordination
    ? await Membership.join(options.coordination, {
        id: options.instance ?? crypto.randomUUID(),
        clock,
        isDriverCurrent: () => driver.isCurrent?.() ?? true,
        onError: (error) => observer.error?.(error),
      })
    : undefined

  const context: TargetContext = {
    clock,
    observer,
    policy,
    keepAwake: options.keepAwake ?? (() => false),
    scale(key, replicas, { remove, signal } = {}) {
      // Read now: a call that waits for its turn must not be made after the lock for which it was allowed is lost.
      const fence = replicas === 0 || remove?.length ? member?.fence : member?.startFence
      const until = (own: AbortSignal | undefined): AbortSignal =>
        AbortSignal.any([stopping.signal, fence, own].filter((one) => one !== undefined))
      const scale = async (own: AbortSignal): ReturnType<Driver['scale']> =>
        driver.scale(key, replicas, { signal: until(own), ...(remove && { remove }) })
      if (replicas > 0) return signal ? scale(signal) : calls.run(scale)
      return calls.inTurn((late) => {
        if (closed) throw activatorClosed()
        return scale(late)
      })
    },
    probe: (key, endpoint, signal) =>
      driver.probe ? driver.probe(key, endpoint, signal) : accepts(endpoint, signal),
    room,
    wakeTurn: (key) => wakes.of(key),
    lock: (key, events) => member?.lock(key, events) ?? new LocalTargetLock(),
    forget(key, target) {
      // A retired target may be dropped twice. A new target of the same key must not be dropped with it.
      if (targets.get(key) === target) targets.delete(key)
    },
  }

  function targetOf(key: TargetKey): Target {
    let target = targets.get(key)
    if (!target) targets.set(key, (target = new Target(key, context)))
    return target
  }

  const watch = await driver
    .watch((key, state) => {
      if (closed) return
      const target = targets.get(key)
      if (target) target.update(state)
      else if (state.ready.length > 0) adopt(key, state)
    })
    .catch(async (error: unknown) => {
      closed = true
      room?.close()
      await member?.close()
      throw error
    })

  /** A target whose policy is not valid is not adopted; its next `acquire` rejects with the reason. */
  function adopt(key: TargetKey, state: TargetState): void {
    try {
      targetOf(key).update(state)
    } catch (error) {
      observer.error?.(error as Error, key)
    }
  }

  async function acquire(key: TargetKey, acquireOptions: AcquireOptions = {}): Promise<Lease> {
    if (closed) throw activatorClosed()
    // Checked before a target is created: a target without any request would never be dropped.
    acquireOptions.signal?.throwIfAborted()
    return targetOf(key).acquire(acquireOptions)
  }

  return {
    acquire,
    async wake(key, wakeOptions) {
      // A target that is awake may be full: nothing is to be waited for.
      if (closed || targets.get(key)?.stats().phase !== 'awake') (await acquire(key, wakeOptions)).release()
    },
    tryAcquire: (key) => targets.get(key)?.tryAcquire(),
    stats: (key) => targets.get(key)?.stats(),
    *targets() {
      for (const [key, target] of targets) yield [key, target.stats()]
    },
    refresh(key) {
      if (!closed) targetOf(key).refresh()
    },
    sleep,
    async retire(key, retireOptions = {}) {
      if (closed) throw activatorClosed()
      await targetOf(key).retire(retireOptions.signal)
    },
    report: (key, endpointId, fault) => targets.get(key)?.report(endpointId, fault),
    async close(closeOptions = {}) {
      closed = true
      room?.close()
      const { signal } = closeOptions
      await Promise.all([...targets.values()].map((target) => target.close(activatorClosed(), signal)))
      stopping.abort(activatorClosed())
      await watch[Symbol.asyncDispose]()
      await member?.close(signal)
    },
  }
}
