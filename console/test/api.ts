import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** A request of the console that waits for its answer. */
export interface Asked {
  /** `PUT /api/apps/a/draft` */
  readonly line: string
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
  readonly response: ServerResponse
  answer(body: unknown, status?: number): void
  refuse(status: number, code: string, details?: unknown): void
}

export interface TestApi {
  /** The next request, in the order in which they arrive. Fails where it is another one. */
  next(line: string): Promise<Asked>
  /** How many requests have arrived that `next` did not return. */
  readonly waiting: number
}

/**
 * An HTTP server in the place of the platform: the test answers each request of the console by hand. Paths without an
 * origin go there, as a page's do.
 */
export async function startApi(): Promise<TestApi> {
  const arrived: Asked[] = []
  const wanted: ((asked: Asked) => void)[] = []
  const server = createServer((request, response) => {
    void read(request).then((body) => {
      const asked = askedOf(request, response, body)
      const take = wanted.shift()
      if (take) take(asked)
      else arrived.push(asked)
    })
  })
  const origin = await listen(server)
  const { fetch } = globalThis
  globalThis.fetch = (input, init) => fetch(new URL(input as string, origin), init)
  onTestFinished(() => {
    globalThis.fetch = fetch
    server.closeAllConnections()
    server.close()
  })
  return {
    async next(line) {
      const asked = arrived.shift() ?? (await new Promise<Asked>((resolve) => wanted.push(resolve)))
      if (asked.line !== line) throw new Error(`${asked.line} was asked, not ${line}`)
      return asked
    },
    get waiting() {
      return arrived.length
    },
  }
}

function askedOf(request: IncomingMessage, response: ServerResponse, text: string): Asked {
  const answer = (body: unknown, status = 200): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  return {
    line: `${request.method} ${request.url}`,
    headers: request.headers,
    body: request.headers['content-type'] === 'application/json' ? JSON.parse(text) : text,
    response,
    answer,
    refuse: (status, code, details) => answer({ code, message: `${code} happened.`, details }, status),
  }
}

async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}
