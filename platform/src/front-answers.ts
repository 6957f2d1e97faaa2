import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { newId } from './ids.ts'

const CODE = 'FP_BAD_REQUEST'

/** The front's own refusals, which come before there is a service to ask. Each ends its connection. */

export function refuse(res: ServerResponse, status: number, message: string, code = CODE): void {
  const { body, headers } = answer(message, code)
  res.writeHead(status, headers).end(body)
}

/** The same where there is no response object: an upgrade, or bytes that are no request. */
export function refuseSocket(socket: Duplex, status: number, message: string, code = CODE): void {
  const { body, headers } = answer(message, code)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on('error', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
}

function answer(message: string, code: string): { body: string; headers: Record<string, string | number> } {
  const id = newId('req')
  const body = JSON.stringify({ code, message, request_id: id })
  return {
    body,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'x-request-id': id,
      connection: 'close',
    },
  }
}
