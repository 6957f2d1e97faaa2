import { DEFAULT_SCALING, scalingOf } from './autoscaler.ts'
import {
  atLeast,
  check,
  checkNames,
  checkObject,
  delay,
  fraction,
  moreThan,
  orInfinity,
  withDefaults,
  type Rule,
  type Settings,
} from './checks.ts'
import { minutesOf } from './keep-warm.ts'
import type { TargetKey, TargetPolicy } from './types.ts'

/** The policy if none is given: at most one replica, asleep after 15 minutes without a request. */
export const DEFAULT_POLICY: TargetPolicy = {
  concurrency: 0,
  queueDepth: 1_000,
  queueBytes: 256 * 1024 * 1024,
  queueTimeout: 60_000,
  minReplicas: 0,
  maxReplicas: 1,
  readinessTimeout: 60_000,
  idleTimeout: 15 * 60_000,
}

/** The policy of all targets, or that of each. What is not set comes from DEFAULT_POLICY. */
export type PolicyOption = Settings<TargetPolicy> | ((key: TargetKey) => Settings<TargetPolicy>)

/** Returns a complete policy as it is: the function is called for each decision. Throws if one policy for all is not valid. */
export function policyOf(option: PolicyOption = DEFAULT_POLICY): (key: TargetKey) => TargetPolicy {
  const whole = (own: Settings<TargetPolicy>): TargetPolicy =>
    isComplete(own) ? own : withDefaults(DEFAULT_POLICY, own)
  if (typeof option === 'function') return (key) => whole(option(key))
  checkObject('policy', option, 'an object or a function')
  checkNames('policy.', option, [...Object.keys(DEFAULT_POLICY), 'warmWindows', 'scaling'])
  const policy = whole(option)
  checkPolicy(policy)
  if (policy.scaling)
    checkNames('policy.scaling.', policy.scaling, [
      ...Object.keys(DEFAULT_SCALING),
      'targetConcurrency',
      'targetRate',
    ])
  return () => policy
}

/** Named one by one: a loop over the names would double the time of `tryAcquire`. */
function isComplete(own: Settings<TargetPolicy>): own is TargetPolicy {
  return (
    own.concurrency !== undefined &&
    own.queueDepth !== undefined &&
    own.queueBytes !== undefined &&
    own.queueTimeout !== undefined &&
    own.minReplicas !== undefined &&
    own.maxReplicas !== undefined &&
    own.readinessTimeout !== undefined &&
    own.idleTimeout !== undefined
  )
}

/** The policy of one target. What runs must not depend on a mistake: if the present policy is not valid, the last valid one holds. */
export class CheckedPolicy {
  readonly #read: () => TargetPolicy
  readonly #failed: (error: Error) => void
  #last: TargetPolicy | undefined
  /** Whether the error of the present policy has been reported. */
  #isInvalid = false

  constructor(read: () => TargetPolicy, failed: (error: Error) => void) {
    this.#read = read
    this.#failed = failed
  }

  /** Throws if no policy was valid so far. */
  get(): TargetPolicy {
    try {
      const policy = this.#read()
      if (policy === this.#last || isSamePolicy(policy, this.#last)) return policy
      checkPolicy(policy)
      this.#isInvalid = false
      return (this.#last = policy)
    } catch (error) {
      if (!this.#last) throw error
      if (!this.#isInvalid) this.#failed(error as Error)
      this.#isInvalid = true
      return this.#last
    }
  }
}

const POLICY = {
  concurrency: atLeast(0),
  queueDepth: orInfinity(atLeast(0)),
  queueBytes: orInfinity(atLeast(0)),
  queueTimeout: delay(0),
  minReplicas: atLeast(0),
  maxReplicas: atLeast(1),
  readinessTimeout: delay(1),
  idleTimeout: delay(0),
} satisfies Partial<Record<keyof TargetPolicy, Rule>>

const SCALING = {
  targetUtilization: fraction,
  stableWindow: delay(1),
  panicWindow: delay(1),
  panicThreshold: moreThan(1),
  maxScaleUpRate: moreThan(1),
  maxScaleDownRate: moreThan(1),
  scaleDownDelay: delay(0),
  activationScale: atLeast(1),
} satisfies Record<string, Rule>

/** Whether two policies surely have the same content: for policy functions that return a new object each time. */
function isSamePolicy(one: TargetPolicy, other: TargetPolicy | undefined): boolean {
  return (
    other !== undefined &&
    one.concurrency === other.concurrency &&
    one.queueDepth === other.queueDepth &&
    one.queueBytes === other.queueBytes &&
    one.queueTimeout === other.queueTimeout &&
    one.minReplicas === other.minReplicas &&
    one.maxReplicas === other.maxReplicas &&
    one.readinessTimeout === other.readinessTimeout &&
    one.idleTimeout === other.idleTimeout &&
    one.warmWindows === other.warmWindows &&
    one.scaling === other.scaling
  )
}

/** Throws a RangeError that names the field of the policy that is wrong, its value, and what is allowed. */
export function checkPolicy(policy: TargetPolicy): void {
  check('policy.', policy, POLICY)
  if (policy.scaling) {
    check('policy.scaling.', scalingOf(policy), SCALING)
    const { targetConcurrency = 1, targetRate = 1 } = policy.scaling
    const targets = { targetConcurrency: moreThan(0), targetRate: moreThan(0) }
    check('policy.scaling.', { targetConcurrency, targetRate }, targets)
  }
  for (const window of policy.warmWindows ?? []) minutesOf(window)
}
