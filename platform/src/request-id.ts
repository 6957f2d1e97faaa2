import type { IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'
import { newId } from './ids.ts'

export type RequestIdOf = (request: IncomingMessage) => string

/** Kept on the request: the collector of garbage goes through a WeakMap of all requests again and again. */
const ID = Symbol('request id')
type Named = IncomingMessage & { [ID]?: string }

/**
 * The id by which the log, the answer and the app name one request; the same however often it is asked for. A client's own
 * `x-request-id` counts only when it comes through a trusted proxy and is harmless in logs and headers: a stranger must not
 * write into the log as someone else's request.
 */
export function createRequestIds(trusts: TrustProxy): RequestIdOf {
  return (request: Named) => (request[ID] ??= given(request) ?? newId('req'))

  function given({ headers, socket }: IncomingMessage): string | undefined {
    const id = headers['x-request-id']
    const valid = typeof id === 'string' && /^[\w.-]{1,64}$/.test(id)
    return valid && trusts(socket.remoteAddress ?? '') ? id : undefined
  }
}
