import type { ActivatorOptions as CheckedOptions } from './activator.ts'
import type { AwakeLimits } from './awake-room.ts'
import {
  aFunction,
  aString,
  atLeast,
  check,
  checkNames,
  checkObject,
  delay,
  either,
  optional,
  orInfinity,
  type Settings,
} from './checks.ts'
import type { Driver } from './types.ts'
import type { WakeLimits } from './wake-turns.ts'

/** All options except the driver have a default. */
export interface ActivatorOptions extends Settings<Omit<CheckedOptions, 'driver' | 'wakes' | 'awake'>> {
  readonly driver: Driver
  /** Limits the wakes of all targets together. Fields that are not set come from DEFAULT_WAKES. */
  readonly wakes?: Settings<WakeLimits> | undefined
  /** Limits how many targets are awake, and what they may use. Default: no limits. */
  readonly awake?: Settings<AwakeLimits> | undefined
}

const count = orInfinity(atLeast(1))
const WAKES = {
  atOnce: optional(count),
  atOncePerGroup: optional(count),
  waiting: optional(orInfinity(atLeast(0))),
  waitingPerGroup: optional(orInfinity(atLeast(0))),
  turnLimit: optional(delay(1)),
  groupOf: optional(aFunction),
}
const limit = orInfinity(atLeast(0))
const AWAKE = {
  most: optional(limit),
  mostPerGroup: optional(either(limit, aFunction)),
  groupOf: optional(aFunction),
  unitOf: optional(aFunction),
  priorityOf: optional(aFunction),
  pressure: optional(aFunction),
}

/** Throws a RangeError or a TypeError that names the option that is wrong. The policy is checked in `policyOf`. */
export function checkActivatorOptions(options: ActivatorOptions): void {
  checkObject('The argument of createActivator', options, 'an object with a `driver`')
  const { driver, wakes, awake, coordination, clock, observer } = options
  checkObject('driver', driver, 'a driver, such as createProcessDriver(…)')
  check('driver.', driver, {
    scale: aFunction,
    watch: aFunction,
    probe: optional(aFunction),
    isCurrent: optional(aFunction),
  })
  check('', options, { keepAwake: optional(aFunction), instance: optional(aString) })
  if (wakes !== undefined) checkFields('wakes', wakes, WAKES)
  if (awake !== undefined) checkFields('awake', awake, AWAKE)
  if (coordination !== undefined) {
    checkObject('coordination', coordination)
    check('coordination.', coordination, { update: aFunction, watch: aFunction })
  }
  if (clock !== undefined) {
    checkObject('clock', clock)
    check('clock.', clock, { now: aFunction, wall: aFunction, schedule: aFunction })
  }
  if (observer !== undefined) checkObject('observer', observer)
}

/** Called when the watch has begun, and not when it is to end. */
export function checkWatch(watch: unknown): void {
  const dispose = (watch as Partial<AsyncDisposable> | null | undefined)?.[Symbol.asyncDispose]
  if (typeof dispose !== 'function')
    throw new TypeError('driver.watch must resolve to an object with the method [Symbol.asyncDispose].')
}

function checkFields(name: string, values: object, rules: Parameters<typeof check>[2]): void {
  checkObject(name, values)
  checkNames(`${name}.`, values, Object.keys(rules))
  check(`${name}.`, values, rules)
}
