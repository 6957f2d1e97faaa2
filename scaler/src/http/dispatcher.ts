import type { Dispatcher } from 'undici'
import { ScalerError } from '../errors.ts'
import { socketPathOf, type EndpointPools } from './pools.ts'
import { neverConnected, type ProxySession } from './session.ts'

/** Carries a request's session through @fastify/reply-from: symbol keys are copied with the headers but never sent. */
export const SESSION = Symbol('fp.session')

type RequestOptions = Dispatcher.RequestOptions & { headers: Record<string | symbol, unknown> }
type Done = (error: Error | null, response?: Dispatcher.ResponseData) => void

/** What @fastify/http-proxy takes as its `undici` option: sends each request to the endpoint of its own lease. */
export interface LeaseDispatcher {
  request(options: RequestOptions, done: Done): void
  destroy(): Promise<void>
}

export function createLeaseDispatcher(pools: EndpointPools): LeaseDispatcher {
  return {
    request(options, done) {
      const session = options.headers[SESSION] as ProxySession
      delete options.headers[SESSION]
      // The URL as it came: an app must see `//` and `%2e` as its client wrote them.
      const raw = session.request.url ?? '/'
      send(pools, session, { ...options, path: raw.startsWith('/') ? raw : options.path }, done)
    },
    destroy: () => pools.destroy(),
  }
}

function send(pools: EndpointPools, session: ProxySession, options: RequestOptions, done: Done): void {
  const endpoint = session.lease!.endpoint
  const origin = socketPathOf(endpoint.url) ? 'http://app' : endpoint.url.origin
  pools
    .of(endpoint)
    .request(
      { ...options, origin, signal: session.signal } as Dispatcher.RequestOptions,
      (error, response) => {
        if (!error) return done(null, response)
        // Only a connection that never was: once a byte may have been written, the app may have acted on it.
        if (!neverConnected(error) || session.signal.aborted) return done(translate(error, session))
        session.again(error).then(
          () => send(pools, session, options, done),
          (failure: Error) => done(failure),
        )
      },
    )
}

function translate(error: Error & { code?: string }, session: ProxySession): Error {
  if (error.code === 'UND_ERR_HEADERS_TIMEOUT') {
    session.report('timeout')
    return new ScalerError('SCALER_UPSTREAM_TIMEOUT', 'The app did not answer in time.', { cause: error })
  }
  if (error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    // Most likely it is on its way down: the next request goes to a new one rather than into its socket.
    if (!session.signal.aborted) session.report('reset')
    return new ScalerError('SCALER_UPSTREAM_RESET', 'The app closed the connection before it answered.', {
      cause: error,
    })
  }
  return error
}
