import { STATUS_CODES, type IncomingMessage } from 'node:http'
import { answerHeaders, type ProxyHeaders } from './answer-headers.ts'

/**
 * The head of the app's response to an upgrade request, as sent to the client: with the headers of any other response, and with
 * `Upgrade` at its place. Node has already decoded chunks, so the end of the connection marks the end of a body.
 */
export function upgradeHead(
  response: IncomingMessage,
  { set, own }: Pick<ProxyHeaders, 'set' | 'own'>,
): string {
  const { statusCode = 0, statusMessage, rawHeaders, headers } = response
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage ?? STATUS_CODES[statusCode]}`]
  const list = answerHeaders({ statusCode, rawHeaders, headers }, { set, own, chunks: false, upgrade: true })
  for (let i = 0; i < list.length; i += 2) {
    const name = String(list[i])
    // A 101 has no body, and so no length (RFC 9110 §8.6).
    if (statusCode === 101 && name.toLowerCase() === 'content-length') continue
    for (const value of [list[i + 1]!].flat()) lines.push(`${name}: ${value}`)
  }
  lines.push(statusCode === 101 ? 'Connection: Upgrade' : 'Connection: close')
  return `${lines.join('\r\n')}\r\n\r\n`
}
