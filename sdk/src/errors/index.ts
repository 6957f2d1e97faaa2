import { APP_FAILURES } from './app-failures.ts'
import type { ErrorInfo } from './info.ts'
import { CLIENT_ERRORS, POD_REFUSALS } from './other-errors.ts'
import { REQUEST_ERRORS } from './request-errors.ts'

export { APP_FAILURES } from './app-failures.ts'
export type { ErrorInfo, ErrorKind } from './info.ts'
export { CLIENT_ERRORS, POD_REFUSALS } from './other-errors.ts'
export { REQUEST_ERRORS } from './request-errors.ts'

/** Every code of the platform, its runner and its client. Codes are stable: programs match on them. docs/errors.md is made from it. */
export const ERRORS = { ...REQUEST_ERRORS, ...APP_FAILURES, ...POD_REFUSALS, ...CLIENT_ERRORS } as const

export type ErrorCode = keyof typeof ERRORS

/** Codes that the platform answers requests with. */
export type RequestErrorCode = {
  [Code in ErrorCode]: (typeof ERRORS)[Code]['kind'] extends 'request' | 'both' ? Code : never
}[ErrorCode]

/** Codes of failed apps and deployments. */
export type AppFailureCode = keyof typeof APP_FAILURES

/** What a code means; undefined for one that this version does not know. */
export function errorInfo(code: string): ErrorInfo | undefined {
  return Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : undefined
}
