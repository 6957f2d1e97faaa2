import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import WebSocket from 'ws'
import type { Ask } from './case.ts'

/** Where an app listens, and the Host header of the requests. Both runs use the same host, as answers contain it. */
export interface Place {
  readonly port: number
  readonly host: string
}

export interface Told {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

const BOUNDARY = 'a-boundary'

/** Sends one request. The result has those parts of the answer that must be the same everywhere. */
export function ask(place: Place, question: Ask): Promise<Told> {
  return question.method === 'WS' ? talk(place, question) : call(place, question)
}

async function talk({ port, host }: Place, { path, text = '' }: Ask): Promise<Told> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { host } })
  await once(socket, 'open')
  socket.send(text)
  const [message] = (await once(socket, 'message')) as [Buffer]
  socket.close()
  return { status: 101, headers: {}, body: message.toString() }
}

function call({ port, host }: Place, question: Ask): Promise<Told> {
  const { method, path, headers = {}, compare = [] } = question
  const body = bodyOf(question)
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        headers: {
          host,
          ...(body && { 'content-type': body.type, 'content-length': body.bytes.length }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const names = ['content-type', 'content-length', ...compare]
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(names.map((name) => [name, response.headers[name]])),
            body: Buffer.concat(chunks).toString('latin1'),
          })
        })
      },
    )
    request.once('error', reject)
    request.end(body?.bytes)
  })
}

function bodyOf({ text, json, form, multipart }: Ask): { type: string; bytes: Buffer } | undefined {
  if (text !== undefined) return { type: 'text/plain', bytes: Buffer.from(text) }
  if (json !== undefined) return { type: 'application/json', bytes: Buffer.from(JSON.stringify(json)) }
  if (form !== undefined) return { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(form) }
  if (!multipart) return undefined
  const parts = Object.entries(multipart).map(([name, value]) => {
    const file = name === 'file' ? '; filename="a.txt"\r\ncontent-type: text/plain' : ''
    return `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`
  })
  return {
    type: `multipart/form-data; boundary=${BOUNDARY}`,
    bytes: Buffer.from(`${parts.join('')}--${BOUNDARY}--\r\n`),
  }
}
