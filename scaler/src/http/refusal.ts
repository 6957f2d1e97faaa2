import { STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { ScalerError } from '../errors.ts'

/**
 * Writes the response to an upgrade request that failed, in the form of Fastify's own errors, and closes the socket. The text of
 * an error that has no status below 500 is not for the client, unless it is the library's own.
 */
export function refuseUpgrade(
  error: Error & { readonly statusCode?: number },
  _request: IncomingMessage,
  socket: Duplex,
): void {
  const known = error.statusCode !== undefined && STATUS_CODES[error.statusCode] !== undefined
  const statusCode = known ? error.statusCode! : 500
  const reason = STATUS_CODES[statusCode]!
  const isPublic = error instanceof ScalerError || statusCode < 500
  const code = error instanceof ScalerError ? { code: error.code } : {}
  const body = JSON.stringify({
    statusCode,
    ...code,
    error: reason,
    message: isPublic ? error.message : 'The request failed.',
  })
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    ...(error instanceof ScalerError ? error.headers : {}),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  socket.end(`HTTP/1.1 ${statusCode} ${reason}\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
}
