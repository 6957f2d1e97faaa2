import { shown } from './as-error.ts'
import type { Endpoint, TargetState } from './types.ts'

/**
 * The report of a driver without the endpoints that cannot be used; `refused` gets an error for each. A report of nothing else is
 * a failure, so that no request waits for an endpoint that never comes.
 */
export function usable(state: TargetState, refused: (error: Error) => void): TargetState {
  if (state.ready.every((endpoint) => problemOf(endpoint) === undefined)) return state
  const errors: Error[] = []
  const ready = state.ready.filter((endpoint) => {
    const problem = problemOf(endpoint)
    if (problem !== undefined) errors.push(new TypeError(problem))
    return problem === undefined
  })
  errors.forEach(refused)
  const failure = { code: 'SCALER_ENDPOINT_INVALID', message: errors[0]!.message }
  return { ...state, ready, ...(ready.length === 0 && !state.failure ? { failure } : {}) }
}

/** What is wrong with an endpoint. */
function problemOf({ id, url }: Endpoint): string | undefined {
  // Not `instanceof`: the URL may be from another realm.
  const given = typeof url === 'object' && typeof url?.protocol === 'string'
  if (!given) return wrong(id, `is ${shown(url)} and not a URL object`)
  if (url.protocol === 'unix:') return url.pathname.startsWith('/') ? undefined : wrong(id, `is ${url.href}`)
  // Whatever else a URL may have would be ignored.
  const plain = url.protocol === 'http:' && url.pathname === '/' && !url.search && !url.hash && !url.username
  return plain ? undefined : wrong(id, `is ${url.href}`)
}

function wrong(id: string, what: string): string {
  return (
    `The driver reported the endpoint ${id}, whose \`url\` ${what}. ` +
    'It must be new URL(`http://host:port`), without a path, or new URL(`unix:/path/to.sock`).'
  )
}
