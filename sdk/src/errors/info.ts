/** Where a code appears. */
export type ErrorKind =
  /** The answer to a request: to the API, or to an app. */
  | 'request'
  /** `failure.code` of an app or a deployment: why the app did not start, or why it ended. */
  | 'app'
  /** Both of them. */
  | 'both'
  /** What a pod answers the platform while no app runs in it. Neither owners nor visitors see it. */
  | 'pod'
  /** Made by the client of the SDK, which had no answer of the platform to read. */
  | 'client'

/** What one code means. */
export interface ErrorInfo {
  readonly kind: ErrorKind
  /** HTTP status of the answer; null where no answer of the platform has this code. */
  readonly status: number | null
  /** For who calls the API or owns the app: what went wrong, and how to mend it. The message of an error has the details. */
  readonly owner: string
  /** What a visitor of an app reads, where the message does not tell more. Absent: no visitor gets the code, or the message is for all. */
  readonly visitor?: string
  /** The app is not at fault, so another try may succeed: its visitors get FP_UNAVAILABLE. */
  readonly isTemporary?: true
  /** The app had started, and ended without being told to. */
  readonly isEnd?: true
}

type More = Pick<ErrorInfo, 'visitor' | 'isTemporary' | 'isEnd'>

/** One row of the table for each kind. The type parameters keep what is known of the row. */
export const request = <S extends number>(status: S, owner: string, visitor?: string) =>
  ({ kind: 'request', status, owner, ...(visitor === undefined ? {} : { visitor }) }) as const

export const both = <S extends number>(status: S, owner: string, more: More = {}) =>
  ({ kind: 'both', status, owner, ...more }) as const

export const app = (owner: string, more: More = {}) =>
  ({ kind: 'app', status: null, owner, ...more }) as const

export const pod = <S extends number>(status: S, owner: string) => ({ kind: 'pod', status, owner }) as const

export const client = (owner: string) => ({ kind: 'client', status: null, owner }) as const
