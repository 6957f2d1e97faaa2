import type { IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'
import { newId } from './ids.ts'

export type RequestIdOf = (request: IncomingMessage) => string

/** Stored on the request, because a WeakMap of all requests would make garbage collection slow. */
const ID = Symbol('request id')
type Named = IncomingMessage & { [ID]?: string }

/**
 * The id of a request in the log, in the answer and for the app. It is always the same for one request. A client's own
 * `x-request-id` is used only if it comes from a trusted proxy and is harmless in logs and headers: a client must not be able
 * to write log lines under the id of another request.
 */
export function createRequestIds(trusts: TrustProxy): RequestIdOf {
  return (request: Named) => (request[ID] ??= given(request) ?? newId('req'))

  function given({ headers, socket }: IncomingMessage): string | undefined {
    const id = headers['x-request-id']
    const valid = typeof id === 'string' && /^[\w.-]{1,64}$/.test(id)
    return valid && trusts(socket.remoteAddress ?? '') ? id : undefined
  }
}
