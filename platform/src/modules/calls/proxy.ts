import type { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'

/** Meant for one connection (RFC 9110, 7.6.1), or decided by whoever makes the request. */
const NOT_PASSED_ON = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const MAX_HEADERS = 100
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Visible Latin-1, spaces and tabs: what a header can carry. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * The request as it is sent to the app. `cookie` and `authorization` are those the owner typed for the app; the platform's
 * own, of the request that brought this one, are never among them.
 */
export function cleanRequest(request: ProxyBody): ProxyBody {
  const headers = passedOn(request.headers ?? {})
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
      // The answer is shown as it is.
      'accept-encoding': 'identity',
      ...(body === undefined
        ? {}
        : { 'content-type': isJson(body) ? 'application/json' : 'text/plain; charset=utf-8' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  }
}

export function cleanAnswer(answer: ProxyAnswer): ProxyAnswer {
  return { ...answer, headers: { ...passedOn(answer.headers), ...pick(answer.headers, 'content-length') } }
}

/** Lower-cased, without hop-by-hop headers and those that `connection` names. */
function passedOn(headers: Readonly<Record<string, string>>): Record<string, string> {
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const named =
    lower
      .find(([name]) => name === 'connection')?.[1]
      .toLowerCase()
      .split(',') ?? []
  const dropped = new Set(named.map((name) => name.trim()))
  return Object.fromEntries(lower.filter(([name]) => !NOT_PASSED_ON.has(name) && !dropped.has(name)))
}

function pick(headers: Readonly<Record<string, string>>, name: string): Record<string, string> {
  const value = headers[name]
  return value === undefined ? {} : { [name]: value }
}

/** Escaped as a browser would; the fragment stays behind. */
function cleanPath(path: string): string {
  try {
    const url = new URL(`http://app${path}`)
    if (url.host === 'app') return url.pathname + url.search
  } catch {
    // Told below.
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
