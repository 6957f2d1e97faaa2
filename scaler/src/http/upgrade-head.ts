import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Lease } from '../types.ts'
import { serverTiming } from './headers.ts'
import { markOf } from './wake.ts'

/** Of an answer without an upgrade. Node has taken its chunks apart already: the end of the connection ends the body. */
const DROPPED = new Set(['connection', 'keep-alive', 'proxy-connection', 'trailer', 'transfer-encoding'])

/** The head of the app's answer to an upgrade request, for the client: as it came, save what holds for one connection. */
export function upgradeHead(response: IncomingMessage, lease: Lease, wakeHeader: string): string {
  const { statusCode, statusMessage, rawHeaders } = response
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage || STATUS_CODES[statusCode!]}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (statusCode !== 101 && DROPPED.has(rawHeaders[i]!.toLowerCase())) continue
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
  }
  if (statusCode !== 101) lines.push('Connection: close')
  lines.push(`${wakeHeader}: ${markOf(lease)}`)
  const timing = serverTiming(lease)
  if (timing) lines.push(`Server-Timing: ${timing}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
