import { QueueFull, ScalerError, type Activator, type Observer } from '@fp/scaler'
import type { AppFailureCode } from '@fp/sdk/errors'
import { FpError } from '../errors.ts'
import type { Events } from '../events.ts'
import { plainFailure, type AppFailureReport, type RuntimeCleanup } from './runtime.ts'
import { parseTargetKey, TargetFailed, type Targets } from './targets.ts'
import { wakesFull } from './wakes.ts'

/** How long a replaced target may go on answering what it has before it is put down. */
const RETIRE_LIMIT = 60_000

/** The modules' view of the activator. */
export function createTargets(activator: Activator, cleanup: Pick<RuntimeCleanup, 'removeTarget'>): Targets {
  return {
    async wake(key, options = {}) {
      try {
        const lease = await activator.acquire(key, options)
        lease.release()
      } catch (error) {
        if (!(error instanceof ScalerError)) throw error
        throw error.code === 'SCALER_WAKES_FULL' ? wakeRefused(error) : new TargetFailed(reportOf(error))
      }
    },
    sleep: (key) => activator.sleep(key),
    async retire(key) {
      await activator.retire(key, { signal: AbortSignal.timeout(RETIRE_LIMIT) })
      await cleanup.removeTarget(key)
    },
    phase: (key) => activator.stats(key)?.phase ?? 'asleep',
  }
}

/** Turns what the activator sees into the platform's news. */
export function createObserver(events: Events): Observer {
  return {
    awake: (key) => void events.emit('app.woke', parseTargetKey(key)),
    asleep: (key) => void events.emit('app.slept', parseTargetKey(key)),
    failed: (key, failure) => {
      const report =
        (failure.details as AppFailureReport | undefined) ??
        plainFailure(ownersCode(failure.code), failure.message)
      events.emit('app.failed', { ...parseTargetKey(key), failure: report })
    },
  }
}

/** The scaler's own codes as the table of error codes has them. */
const OWNERS_CODES: Readonly<Record<string, AppFailureCode>> = {
  SCALER_CLOSED: 'FP_UNAVAILABLE',
  SCALER_CUT_OFF: 'FP_UNAVAILABLE',
  SCALER_RETIRED: 'FP_UNAVAILABLE',
  SCALER_SCALE_FAILED: 'FP_INTERNAL',
  SCALER_WAKE_TIMEOUT: 'FP_WAKE_TIMEOUT',
}

const ownersCode = (code: string): string => OWNERS_CODES[code] ?? code

/** One observer that passes all it hears on. */
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

/** Not the app's fault: the wake was not begun. */
function wakeRefused(error: ScalerError): FpError {
  if (error.cause instanceof QueueFull) return wakesFull(error.cause)
  const code = error.failure?.code === 'FP_AWAKE_LIMIT' ? 'FP_AWAKE_LIMIT' : 'FP_QUEUE_FULL'
  return new FpError(code, error.message, { headers: error.headers, cause: error })
}

function reportOf(error: ScalerError): AppFailureReport {
  const details = error.failure?.details as AppFailureReport | undefined
  if (details) return details
  return plainFailure(ownersCode(error.failure?.code ?? error.code), error.message)
}
