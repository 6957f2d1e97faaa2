import { KubeConfig } from '@kubernetes/client-node'
import { KubernetesApi } from '@fp/scaler/kubernetes'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly type: string | undefined
  readonly body: unknown
}

/** An API server whose answers the test sets, called by a real KubernetesApi over real HTTP. */
export class LocalApi implements AsyncDisposable {
  readonly asked: Asked[] = []
  onAsked: (asked: Asked, response: ServerResponse) => void | Promise<void> = (_asked, response) =>
    refuse(response, 404, 'NotFound')
  readonly api: KubernetesApi
  readonly #server: ReturnType<typeof createServer>

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    server.on('request', (request, response) => void this.#answer(request, response))
    const config = new KubeConfig()
    const { port } = server.address() as AddressInfo
    config.loadFromOptions({
      clusters: [{ name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
      users: [{ name: 'test', token: 'secret' }],
      contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
      currentContext: 'test',
    })
    this.api = new KubernetesApi(config)
  }

  static async start(): Promise<LocalApi> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new LocalApi(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const url = new URL(request.url!, 'http://test')
    const asked = {
      method: request.method!,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      type: request.headers['content-type'],
      body: text ? (JSON.parse(text) as unknown) : undefined,
    }
    this.asked.push(asked)
    await this.onAsked(asked, response)
  }
}

export function refuse(response: ServerResponse, status: number, reason: string, message = reason): void {
  response.writeHead(status).end(JSON.stringify({ kind: 'Status', reason, message }))
}
