import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ErrorCode } from '../errors.ts'
import { takeNoMore } from './take-no-more.ts'
import { newId } from '../ids.ts'

const CODE: ErrorCode = 'FP_BAD_REQUEST'

export type Refusal = readonly [status: number, message: string, code?: ErrorCode]

export interface More {
  readonly setCookie?: readonly string[]
  /** An HTML page for people, in place of the JSON. */
  readonly page?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends a refusal of the front door itself, before the request reaches a service. It closes the connection. */

export function refuse(
  res: ServerResponse,
  status: number,
  message: string,
  code: ErrorCode = CODE,
  more: More = {},
): void {
  takeNoMore(res.req.socket)
  const { body, headers } = answer(message, code, more)
  for (const [name, value] of headers)
    if (name === 'set-cookie') res.appendHeader(name, value)
    else res.setHeader(name, value)
  res.writeHead(status).end(body)
}

/** The same without a response object: for an upgrade, or for bytes that are not a request. */
export function refuseSocket(
  socket: Duplex,
  status: number,
  message: string,
  code: ErrorCode = CODE,
  more: More = {},
): void {
  const { body, headers } = answer(message, code, more)
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on('error', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
}

function answer(
  message: string,
  code: ErrorCode,
  { page, setCookie = [], headers = {} }: More,
): { body: string; headers: [name: string, value: string][] } {
  const id = newId('req')
  const body = page ?? JSON.stringify({ code, message, request_id: id })
  return {
    body,
    headers: [
      ['content-type', `${page ? 'text/html' : 'application/json'}; charset=utf-8`],
      ['content-length', String(Buffer.byteLength(body))],
      ['x-request-id', id],
      ['connection', 'close'],
      ...Object.entries(headers),
      ...setCookie.map((line): [string, string] => ['set-cookie', line]),
    ],
  }
}
