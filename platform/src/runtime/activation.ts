import { QueueFull, ScalerError, type Activator, type Observer, type TargetKey } from '@fp/scaler'
import { APP_FAILURES, type AppFailureCode } from '@fp/sdk/errors'
import { FpError } from '../errors.ts'
import type { Events, PlatformEvent, PlatformEvents, TargetEvent } from '../events.ts'
import { plainFailure, type AppFailureReport, type RuntimeCleanup } from './runtime.ts'
import { parseTargetKey, TargetFailed, type Targets } from './targets.ts'
import { wakesFull } from './wakes.ts'

/** How long a replaced target may take to finish its requests before it is stopped, in ms. */
const RETIRE_LIMIT = 60_000

/** The targets as modules use them, implemented with the activator. */
export function createTargets(activator: Activator, cleanup: Pick<RuntimeCleanup, 'removeTarget'>): Targets {
  return {
    async wake(key, options = {}) {
      try {
        await activator.wake(key, options)
      } catch (error) {
        if (!(error instanceof ScalerError)) throw error
        throw REFUSED.has(error.code) ? wakeRefused(error) : new TargetFailed(reportOf(error))
      }
    },
    sleep: (key) => activator.sleep(key),
    async retire(key) {
      await activator.retire(key, { signal: AbortSignal.timeout(RETIRE_LIMIT) })
      await cleanup.removeTarget(key)
    },
    phases: async (keys) => keys.map((key) => activator.stats(key)?.phase ?? 'asleep'),
  }
}

/** Publishes an event of a target, with its owner. */
export type PublishTarget = <
  N extends 'app.waking' | 'app.woke' | 'app.slept' | 'app.failed' | 'app.progress',
>(
  name: N,
  key: TargetKey,
  more: Omit<PlatformEvents[N], keyof TargetEvent>,
) => void

/** Events of one app are published in the order of the calls, as its owner is known from the first one on. */
export function createPublisher(
  events: Events,
  ownerOf: (key: TargetKey) => string | Promise<string>,
): PublishTarget {
  return (name, key, more) => {
    const publish = (userId: string | null): void =>
      events.publish({ name, payload: { ...parseTargetKey(key), userId, ...more } } as PlatformEvent)
    const owner = ownerOf(key)
    if (typeof owner === 'string') publish(owner)
    // If the database does not answer, the event is still published, without an owner.
    else void owner.then(publish, () => publish(null))
  }
}

/** Publishes what the activator observes as events. */
export function createObserver(publish: PublishTarget): Observer {
  return {
    waking: (key) => publish('app.waking', key, {}),
    awake: (key) => publish('app.woke', key, {}),
    asleep: (key) => publish('app.slept', key, {}),
    failed: (key, failure) =>
      publish('app.failed', key, {
        failure:
          (failure.details as AppFailureReport | undefined) ??
          plainFailure(ownersCode(failure.code), failure.message),
      }),
  }
}

/** The scaler's own codes as the table of error codes has them. */
const OWNERS_CODES: Readonly<Record<string, AppFailureCode>> = {
  SCALER_CLOSED: 'FP_UNAVAILABLE',
  SCALER_CUT_OFF: 'FP_UNAVAILABLE',
  SCALER_OUTDATED: 'FP_UNAVAILABLE',
  SCALER_RETIRED: 'FP_UNAVAILABLE',
  SCALER_QUEUE_FULL: 'FP_QUEUE_FULL',
  SCALER_QUEUE_TIMEOUT: 'FP_QUEUE_FULL',
  SCALER_SCALE_FAILED: 'FP_INTERNAL',
  SCALER_GROUP_FAILED: 'FP_INTERNAL',
  SCALER_ENDPOINT_INVALID: 'FP_INTERNAL',
  SCALER_WAKE_TIMEOUT: 'FP_WAKE_TIMEOUT',
}

const ownersCode = (code: string): string => OWNERS_CODES[code] ?? code

/** One observer that calls all the others. */
export function tellAll(...observers: readonly Observer[]): Required<Observer> {
  const each = (tell: (observer: Observer) => void): void => observers.forEach(tell)
  return {
    waking: (key) => each((it) => it.waking?.(key)),
    awake: (key, wake) => each((it) => it.awake?.(key, wake)),
    asleep: (key) => each((it) => it.asleep?.(key)),
    failed: (key, failure) => each((it) => it.failed?.(key, failure)),
    scaled: (key, change) => each((it) => it.scaled?.(key, change)),
    granted: (key, grant) => each((it) => it.granted?.(key, grant)),
    refused: (key, code) => each((it) => it.refused?.(key, code)),
    error: (error, key) => each((it) => it.error?.(error, key)),
  }
}

/** The wake did not begin, so the app is not at fault. */
const REFUSED: ReadonlySet<string> = new Set(['SCALER_WAKES_FULL', 'SCALER_AWAKE_FULL'])

function wakeRefused(error: ScalerError): FpError {
  if (error.cause instanceof QueueFull) return wakesFull(error.cause)
  const options = { headers: error.headers, cause: error }
  if (error.code !== 'SCALER_AWAKE_FULL') return new FpError('FP_QUEUE_FULL', error.message, options)
  const code = error.failure?.code === 'AWAKE_PRESSURE' ? 'FP_MEMORY_FULL' : 'FP_AWAKE_LIMIT'
  return new FpError(code, APP_FAILURES[code].owner, options)
}

function reportOf(error: ScalerError): AppFailureReport {
  const details = error.failure?.details as AppFailureReport | undefined
  if (details) return details
  return plainFailure(ownersCode(error.failure?.code ?? error.code), error.failure?.message ?? error.message)
}
