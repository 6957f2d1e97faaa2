import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Lease } from '../types.ts'
import { serverTiming } from './answer-headers.ts'

/**
 * Headers that apply to one connection only, or that the proxy writes itself. Node has already decoded chunks, so the end of the
 * connection marks the end of a body.
 */
const DROPPED = new Set(['connection', 'keep-alive', 'proxy-connection', 'trailer', 'transfer-encoding'])
/** Statuses without a body, and so without Content-Length (RFC 9110 §8.6). */
const NO_LENGTH = new Set([101, 204])

/**
 * The head of the app's response to an upgrade request, as sent to the client: unchanged except for headers that apply to one
 * connection only and the headers in `own`, which only the proxy sets.
 */
export function upgradeHead(
  { statusCode = 0, statusMessage, rawHeaders }: IncomingMessage,
  lease: Lease,
  own: Readonly<Record<string, string>>,
): string {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage ?? STATUS_CODES[statusCode]}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    if (
      DROPPED.has(name) ||
      Object.hasOwn(own, name) ||
      (name === 'content-length' && NO_LENGTH.has(statusCode))
    )
      continue
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
  }
  lines.push(statusCode === 101 ? 'Connection: Upgrade' : 'Connection: close')
  for (const name in own) lines.push(`${name}: ${own[name]}`)
  const timing = serverTiming(lease)
  if (timing) lines.push(`Server-Timing: ${timing}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
