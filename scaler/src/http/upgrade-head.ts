import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Lease } from '../types.ts'
import { serverTiming } from './answer-headers.ts'

/** Said anew by the front, or of one connection. Node has taken chunks apart already: the end of the connection ends a body. */
const DROPPED = new Set(['connection', 'keep-alive', 'proxy-connection', 'trailer', 'transfer-encoding'])
/** RFC 9110 §8.6: an answer without a body has no length. */
const NO_LENGTH = new Set([101, 204])

/**
 * The head of the app's answer to an upgrade request, for the client: as it came, save what holds for one connection and
 * the headers in `own`, which are the front's alone.
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
