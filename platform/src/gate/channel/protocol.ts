import type { AppRequest, GateFacts, GateStatus } from '../gate.ts'
import type { LogLine } from '../../runtime/logs.ts'
import type { AppSpec, CheckResult } from '../../runtime/runtime.ts'
import type { TargetKey, TargetPhase } from '@fp/scaler'
import type { SentError } from './errors.ts'

/**
 * The channel between the API and the gate: HTTP on a unix socket in a folder that only the platform can enter.
 *
 * - `POST /<method>`: the arguments as a JSON array; answered with `{ result }` or `{ error }`. Closing the request aborts it.
 * - `POST /call`: request and answer begin with one line of JSON, the head, and continue with the body. If the body of the
 *   answer breaks off, the trailer `x-error` has the error, as JSON in base64url.
 * - `GET /events`: one event per line, until either side closes the stream.
 */
export interface Methods {
  facts(): GateFacts
  wake(key: TargetKey): void
  sleep(key: TargetKey): boolean
  retire(key: TargetKey): void
  phases(keys: readonly TargetKey[]): TargetPhase[]
  check(spec: AppSpec): CheckResult
  logTail(appId: string, lines: number): LogLine[]
  logNote(appId: string, text: string): void
  removeApp(appId: string): void
  forgetRoute(appId: string): void
  storageProblem(): string | null
  status(): GateStatus
  metrics(): string
}

export type MethodName = keyof Methods

export type Answer = { readonly result: unknown } | { readonly error: SentError }

/** The first line of a call. */
export type CallHead = Omit<AppRequest, 'body'> & { readonly body: 'none' | 'text' | 'stream' }

/** The first line of the answer to a call. */
export type CallAnswer =
  | {
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly coldStart: boolean
    }
  | { readonly error: SentError }

export const ERROR_TRAILER = 'x-error'
export const CALL_PATH = '/call'
export const EVENTS_PATH = '/events'
