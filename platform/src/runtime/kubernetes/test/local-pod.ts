import { createHash, createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

interface SentStartRequest {
  readonly mode: string
  readonly files: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
  readonly assets?: readonly { readonly sha256: string }[]
}

/** The pod's side of the claim, over real HTTP, without an app. The test sets the answer to the start request. */
export class LocalPod implements AsyncDisposable {
  /** Start requests from clients that knew the key. */
  readonly startRequests: SentStartRequest[] = []
  /** Contents of assets that followed a start request. */
  readonly contents: Buffer[] = []
  /** All bodies, from any client. */
  readonly bodies: Buffer[] = []
  /** Connections that were made. */
  connections = 0
  /** How the start request is answered. */
  onStartRequest: (response: ServerResponse, startRequest: SentStartRequest) => void = (response) =>
    answer(response, 200, { ready: true, phases: [{ name: 'ready', at: 12 }] })
  /** An answer in place of the proof. */
  onProof: ((response: ServerResponse) => void) | undefined
  /** The answer at `/_fp/ready`. Default: the pod waits. */
  onReady: (response: ServerResponse) => void = (response) =>
    answer(response, 409, { code: 'FP_POD_WAITING' })
  /** Acts like a pod with an older image. */
  knowsNoAssets = false
  /** Closes the connection after the proof, like a pod that ends. */
  hangsUp = false
  readonly #key: string
  readonly #server: Server
  #wanted = new Set<string>()
  readonly #nonces = new WeakMap<object, string>()

  private constructor(key: string) {
    this.#key = key
    this.#server = createServer((request, response) => void this.#answer(request, response))
    this.#server.on('connection', () => this.connections++)
  }

  /** `host`: several pods have the same port at addresses of their own. */
  static async start(key: string, host = '127.0.0.1', port = 0): Promise<LocalPod> {
    const pod = new LocalPod(key)
    pod.#server.listen(port, host)
    await once(pod.#server, 'listening')
    return pod
  }

  get address(): URL {
    const { address, port } = this.#server.address() as AddressInfo
    return new URL(`http://${address}:${port}`)
  }

  get port(): number {
    return Number(this.address.port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    if (body.length > 0) this.bodies.push(body)
    if (request.url === '/_fp/ready') return this.onReady(response)
    if (request.url === '/_fp/claim/content') return this.#receive(response, body)
    if (request.url !== '/_fp/claim') return answer(response, 409, { code: 'FP_POD_WAITING' })
    if (request.method === 'GET') return this.#prove(request, response)
    const nonce = this.#nonces.get(request.socket)
    this.#nonces.delete(request.socket)
    const digest = createHash('sha256').update(body).digest('hex')
    if (!nonce || request.headers['fp-proof'] !== this.#mac(`platform:${nonce}:${digest}`))
      return answer(response, 401, { code: 'FP_POD_WRONG_PROOF' })
    if (this.startRequests.length > 0) return answer(response, 409, { code: 'FP_POD_CLAIMED' })
    const startRequest = JSON.parse(gunzipSync(body).toString()) as SentStartRequest
    this.startRequests.push(startRequest)
    this.#wanted = new Set(startRequest.assets?.map(({ sha256 }) => sha256))
    if (this.#wanted.size > 0 && !this.knowsNoAssets)
      return answer(response, 200, { wanted: [...this.#wanted] })
    this.onStartRequest(response, startRequest)
  }

  #receive(response: ServerResponse, body: Buffer): void {
    this.contents.push(body)
    if (!this.#wanted.delete(createHash('sha256').update(body).digest('hex')))
      return answer(response, 400, { code: 'FP_POD_BAD_CONTENT' })
    if (this.#wanted.size > 0) return void response.writeHead(204).end()
    this.onStartRequest(response, this.startRequests.at(-1)!)
  }

  #prove(request: IncomingMessage, response: ServerResponse): void {
    if (this.onProof) return this.onProof(response)
    const nonce = randomBytes(16).toString('hex')
    this.#nonces.set(request.socket, nonce)
    if (this.hangsUp) response.once('finish', () => request.socket.destroy())
    answer(response, 200, { nonce, proof: this.#mac(`pod:${String(request.headers['fp-nonce'])}:${nonce}`) })
  }

  #mac(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('hex')
  }
}

export function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
