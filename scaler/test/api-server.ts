import type { KubeConfig, KubernetesObject } from '@kubernetes/client-node'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { configOf } from './kube-config.ts'

/** What an API server is to an informer: one collection that can be listed and watched, over real HTTP. */
export class TestApiServer implements AsyncDisposable {
  /** By name. */
  readonly objects = new Map<string, KubernetesObject>()
  /** What was asked, as `list` or `watch <version>`. */
  readonly asked: string[] = []
  /** Open watches. */
  readonly watches = new Set<ServerResponse>()
  /** Answers with this status instead, as often as there are entries. */
  readonly refusals: number[] = []
  #version = 100
  readonly #server = createServer((request, response) => this.#answer(request, response))

  static async start(): Promise<TestApiServer> {
    const server = new TestApiServer()
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get config(): KubeConfig {
    return configOf(this.#server)
  }

  put(name: string, uid = name): void {
    const type = this.objects.has(name) ? 'MODIFIED' : 'ADDED'
    const object = { metadata: { name, uid, resourceVersion: String(++this.#version) } }
    this.objects.set(name, object)
    this.send({ type, object })
  }

  remove(name: string, options: { silently?: boolean } = {}): void {
    const object = this.objects.get(name)!
    this.objects.delete(name)
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) }
    if (!options.silently) this.send({ type: 'DELETED', object: { metadata } })
  }

  bookmark(): void {
    this.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(++this.#version) } } })
  }

  /** To every open watch, in two pieces: a line may come in any number of them. */
  send(event: object): void {
    const line = `${JSON.stringify(event)}\n`
    for (const watch of this.watches) {
      watch.write(line.slice(0, 5))
      watch.write(line.slice(5))
    }
  }

  /** Ends every open watch, politely or not. */
  breakOff(how: 'end' | 'destroy'): void {
    for (const watch of this.watches) watch[how]()
  }

  get version(): string {
    return String(this.#version)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { searchParams } = new URL(request.url!, 'http://test')
    const watches = searchParams.has('watch')
    this.asked.push(watches ? `watch ${searchParams.get('resourceVersion')}` : 'list')
    const refusal = this.refusals.shift()
    if (refusal) {
      response.writeHead(refusal).end(JSON.stringify({ reason: 'Test', message: 'refused' }))
    } else if (watches) {
      response.writeHead(200).flushHeaders()
      this.watches.add(response)
      response.once('close', () => this.watches.delete(response))
    } else {
      this.#list(response, Number(searchParams.get('continue') ?? 0))
    }
  }

  /** Pages of two. */
  #list(response: ServerResponse, from: number): void {
    const all = [...this.objects.values()]
    const rest = from + 2 < all.length ? { continue: String(from + 2) } : {}
    response.end(
      JSON.stringify({
        metadata: { resourceVersion: this.version, ...rest },
        items: all.slice(from, from + 2),
      }),
    )
  }
}
