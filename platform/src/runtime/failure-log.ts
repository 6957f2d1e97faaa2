import type { Failure, Observer, TargetKey } from '@fp/scaler'
import { errorInfo } from '@fp/sdk/errors'
import type { Logger } from 'pino'

/** A driver or `groupOf` that throws, and an endpoint that cannot be used. */
const FAULTS_OF_CALLBACKS = ['SCALER_SCALE_FAILED', 'SCALER_GROUP_FAILED', 'SCALER_ENDPOINT_INVALID']

/** Whether the app is not at fault, so that another try may succeed. */
export const isFaultOfPlatform = (code: string): boolean =>
  FAULTS_OF_CALLBACKS.includes(code) || errorInfo(code)?.isTemporary === true

/** The platform itself has ended or replaced the target. */
const EXPECTED: readonly string[] = ['SCALER_CLOSED', 'SCALER_RETIRED']

/**
 * Logs each failure of an app in one line, with its code and message. Without a stack, which would be the platform's: the
 * traceback of the app is in the app's own log.
 */
export function createFailureLog(
  log: Pick<Logger, 'debug' | 'info' | 'warn'>,
): Required<Pick<Observer, 'failed'>> {
  return {
    failed(key: TargetKey, { code, message }: Failure) {
      const level = EXPECTED.includes(code) ? 'debug' : isFaultOfPlatform(code) ? 'warn' : 'info'
      log[level]({ target: key, code }, `an app failed: ${message}`)
    },
  }
}
