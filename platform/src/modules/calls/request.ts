import type { ProxyBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { endToEnd } from '../../ingress/call-headers.ts'

const MAX_HEADERS = 100
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** The characters a header can carry: visible Latin-1, spaces and tabs. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * The request as it is sent to the app. `cookie` and `authorization` are those that the owner entered for the app, never
 * those of the owner's own request to the platform.
 */
export function cleanRequest(request: ProxyBody): ProxyBody {
  const headers = endToEnd(request.headers ?? {})
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name))
      throw invalid(`The header name ${JSON.stringify(name)} is not allowed in HTTP.`)
    if (!HEADER_VALUE.test(value)) {
      throw invalid(`The value of the header ${name} holds characters that are not allowed in HTTP.`)
    }
  }
  if (Object.keys(headers).length > MAX_HEADERS) throw invalid(`At most ${MAX_HEADERS} headers can be sent.`)
  const body = request.method === 'GET' || request.method === 'HEAD' ? undefined : request.body
  return {
    method: request.method,
    path: cleanPath(request.path),
    headers: {
      // The answer is shown as it arrives, so it must not be compressed.
      'accept-encoding': 'identity',
      ...(body === undefined
        ? {}
        : { 'content-type': isJson(body) ? 'application/json' : 'text/plain; charset=utf-8' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  }
}

/** Escapes the path as a browser does, and removes the fragment. */
function cleanPath(path: string): string {
  try {
    const url = new URL(`http://app${path}`)
    if (url.host === 'app') return url.pathname + url.search
  } catch {
    // The error is thrown below.
  }
  throw invalid(`The path ${JSON.stringify(path.slice(0, 200))} is not one that can be requested.`)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function invalid(message: string): FpError {
  return new FpError('FP_INVALID_FIELDS', message)
}
