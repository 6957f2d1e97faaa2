import { checkActivatorOptions, checkWatch, type ActivatorOptions } from './activator-options.ts'
import { createActivator as start, type ActivatorOptions as CheckedOptions } from './activator.ts'
import type { AwakeLimits } from './awake-room.ts'
import { called, groupCalled, guarded } from './callbacks.ts'
import { withDefaults, type Settings } from './checks.ts'
import { enterInstance } from './coordination/instances.ts'
import type { Coordination } from './coordination/types.ts'
import { usable } from './endpoints.ts'
import type { Observer } from './observer.ts'
import type { Activator, Driver } from './types.ts'
import type { WakeLimits } from './wake-turns.ts'

/**
 * Creates an activator: starts watching the driver and takes over the targets that are already running. Rejects with a RangeError
 * or a TypeError that names the option that is wrong, or if the driver or the coordination cannot be watched.
 */
export async function createActivator(options: ActivatorOptions): Promise<Activator> {
  checkActivatorOptions(options)
  const { driver, policy, keepAwake, wakes, awake, coordination, instance, clock } = options
  const observer = guarded(options.observer ?? {})
  const leave = enterInstance(coordination, instance)
  try {
    const activator = await start({
      driver: guardedDriver(driver, observer),
      observer,
      ...withDefaults<Omit<CheckedOptions, 'driver'>>({}, { policy, instance, clock }),
      ...(keepAwake && { keepAwake: (key) => called('keepAwake', () => keepAwake(key)) }),
      ...(wakes && { wakes: guardedWakes(wakes) }),
      ...(awake && { awake: guardedAwake(awake) }),
      ...(coordination && { coordination: guardedCoordination(coordination) }),
    })
    const close: Activator['close'] = async (closeOptions) => {
      await activator.close(closeOptions)
      leave()
    }
    return { ...activator, close }
  } catch (error) {
    leave()
    throw error
  }
}

/** The methods are looked up at each call, because a test may replace them. */
function guardedDriver(driver: Driver, observer: Observer): Driver {
  return {
    name: driver.name,
    scale: async (...args) => called('driver.scale', () => driver.scale(...args)),
    async watch(onChange) {
      const watch = await called('driver.watch', () =>
        driver.watch((key, state) =>
          onChange(
            key,
            usable(state, (error) => observer.error?.(error, key)),
          ),
        ),
      )
      checkWatch(watch)
      return watch
    },
    ...(driver.isCurrent && { isCurrent: () => driver.isCurrent!() }),
    ...(driver.probe && {
      probe: async (...args) => called('driver.probe', () => driver.probe!(...args)),
    }),
  }
}

function guardedCoordination(coordination: Coordination): Coordination {
  const { members } = coordination
  return {
    ...(members && { members }),
    update: async (...args) => called('coordination.update', () => coordination.update(...args)),
    watch: async (onChange) => called('coordination.watch', () => coordination.watch(onChange)),
  }
}

function guardedWakes(own: Settings<WakeLimits>): Partial<WakeLimits> {
  const limits = withDefaults<Partial<WakeLimits>>({}, own)
  const { groupOf } = own
  return groupOf
    ? { ...limits, groupOf: groupCalled('wakes.groupOf', (key) => groupOf.call(own, key)) }
    : limits
}

/** `own` may be an object of a class: its methods are inherited, and called as its own. */
function guardedAwake(own: Settings<AwakeLimits>): AwakeLimits {
  const { groupOf, mostPerGroup, pressure, most, unitOf, priorityOf } = own
  return {
    ...(most !== undefined && { most }),
    ...(groupOf && { groupOf: groupCalled('awake.groupOf', groupOf.bind(own)) }),
    ...(typeof mostPerGroup === 'number' && { mostPerGroup }),
    ...(typeof mostPerGroup === 'function' && {
      mostPerGroup: groupCalled('awake.mostPerGroup', mostPerGroup.bind(own)),
    }),
    ...(unitOf && { unitOf: unitOf.bind(own) }),
    ...(priorityOf && { priorityOf: priorityOf.bind(own) }),
    ...(pressure && { pressure: () => called('awake.pressure', pressure.bind(own)) }),
  }
}
