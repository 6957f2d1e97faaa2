import type { IncomingMessage } from 'node:http'
import { flawOf, hostOf } from '@fp/scaler/http'
import { HEAD_TOO_LARGE, MAX_HEAD, MAX_HEADER_LINES } from './client-error.ts'
import { COOKIES_PAGE, defuse, type ConsoleCookies } from './cookie-bomb.ts'
import type { ErrorCode } from '../errors.ts'
import type { More } from './answers.ts'

export interface RefusalDeps {
  readonly isAppHost: (host: string | undefined) => boolean
  readonly cookies: ConsoleCookies
}

/** The arguments for `refuse` if no service may get the request; undefined for all other requests. */
export type RefusalOf = (
  request: IncomingMessage,
) => readonly [status: number, message: string, code?: ErrorCode | undefined, more?: More] | undefined

export function createRefusals({ isAppHost, cookies }: RefusalDeps): RefusalOf {
  return (request) => {
    if (hasTooManyHeaders(request)) return HEAD_TOO_LARGE
    const flaw = flawOf(request)
    if (flaw !== undefined) return [400, flaw]
    return hasTooLargeHead(request) ? tooLarge(request) : undefined
  }

  function tooLarge(request: IncomingMessage): ReturnType<RefusalOf> {
    const [status, message, code] = HEAD_TOO_LARGE
    const setCookie = defuse(request, isAppHost(hostOf(request)), cookies)
    const isPage = setCookie.length > 0 && request.headers.accept?.includes('text/html')
    return [status, message, code, { setCookie, ...(isPage && { page: COOKIES_PAGE }) }]
  }
}

/** Some versions of Node refuse such a request, others drop the lines above the limit. No service may use an incomplete head. */
function hasTooManyHeaders({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.length > 2 * MAX_HEADER_LINES
}

function hasTooLargeHead({ rawHeaders, url = '' }: IncomingMessage): boolean {
  let size = url.length
  for (const text of rawHeaders) size += text.length + 2
  return size > MAX_HEAD
}
