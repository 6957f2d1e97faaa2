import type { IncomingMessage } from 'node:http'
import type { TrustProxy } from '@fp/scaler/http'
import { newId } from './ids.ts'

export type RequestIdOf = (request: IncomingMessage) => string

/**
 * The id by which the log, the answer and the app name one request; the same however often it is asked for. A client's own
 * `x-request-id` counts only when it comes through a trusted proxy and is harmless in logs and headers: a stranger must not
 * write into the log as someone else's request.
 */
export function createRequestIds(trusts: TrustProxy): RequestIdOf {
  const ids = new WeakMap<IncomingMessage, string>()
  return (request) => {
    let id = ids.get(request)
    if (id === undefined) ids.set(request, (id = given(request) ?? newId('req')))
    return id
  }

  function given({ headers, socket }: IncomingMessage): string | undefined {
    const id = headers['x-request-id']
    const valid = typeof id === 'string' && /^[\w.-]{1,64}$/.test(id)
    return valid && trusts(socket.remoteAddress ?? '') ? id : undefined
  }
}
