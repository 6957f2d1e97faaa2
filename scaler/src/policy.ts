import { scalingOf } from './autoscaler.ts'
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
export type PolicyOption = Partial<TargetPolicy> | ((key: TargetKey) => Partial<TargetPolicy>)

/** Returns a complete policy as it is: the function is called for each decision. */
export function policyOf(option: PolicyOption = DEFAULT_POLICY): (key: TargetKey) => TargetPolicy {
  const whole = (own: Partial<TargetPolicy>): TargetPolicy =>
    isComplete(own) ? own : { ...DEFAULT_POLICY, ...own }
  if (typeof option === 'function') return (key) => whole(option(key))
  const policy = whole(option)
  return () => policy
}

/** Named one by one: a loop over the names would double the time of `tryAcquire`. */
function isComplete(own: Partial<TargetPolicy>): own is TargetPolicy {
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

interface Rule {
  readonly holds: (value: number) => boolean
  readonly text: string
}

const atLeast = (least: number): Rule => ({
  holds: (value) => Number.isInteger(value) && value >= least,
  text: `a whole number of at least ${least}`,
})
const orInfinity = ({ holds, text }: Rule): Rule => ({
  holds: (value) => value === Infinity || holds(value),
  text: `${text}, or Infinity`,
})
const moreThan = (least: number): Rule => ({
  holds: (value) => Number.isFinite(value) && value > least,
  text: `a number of more than ${least}`,
})
const delay = (least: number): Rule => ({
  holds: (value) => Number.isFinite(value) && value >= least,
  text: `a number of at least ${least} ms`,
})

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
  targetUtilization: { holds: (value) => value > 0 && value <= 1, text: 'more than 0 and at most 1' },
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
  check('', policy, POLICY)
  if (policy.scaling) {
    check('scaling.', scalingOf(policy), SCALING)
    const { targetConcurrency = 1, targetRate = 1 } = policy.scaling
    const targets = { targetConcurrency: moreThan(0), targetRate: moreThan(0) }
    check('scaling.', { targetConcurrency, targetRate }, targets)
  }
  for (const window of policy.warmWindows ?? []) minutesOf(window)
}

function check(prefix: string, values: object, rules: Readonly<Record<string, Rule>>): void {
  for (const [name, { holds, text }] of Object.entries(rules)) {
    const value = (values as Readonly<Record<string, unknown>>)[name]
    if (typeof value !== 'number' || !holds(value))
      throw new RangeError(`policy.${prefix}${name} must be ${text}, but is ${String(value)}.`)
  }
}
