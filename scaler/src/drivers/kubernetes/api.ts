import { RequestContext, type HttpMethod, type KubeConfig } from '@kubernetes/client-node'
import { Agent, type Dispatcher } from 'undici'

/** What the API server answered, or why it could not be asked. */
export class KubernetesApiError extends Error {
  override readonly name = 'KubernetesApiError'
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number
  /** Kubernetes' word for it, such as `NotFound`, `Conflict`, `Forbidden`. */
  readonly reason: string

  constructor(message: string, status: number, reason: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
    this.reason = reason
  }
}

export type PatchType = 'merge' | 'json' | 'apply'

export interface ApiRequest {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON; a patch of the type that `patch` names. */
  readonly body?: unknown
  readonly patch?: PatchType
  readonly signal?: AbortSignal
}

const PATCH_TYPES: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  // JSON is YAML.
  apply: 'application/apply-patch+yaml',
}

/**
 * The API server, spoken to in JSON over kept-alive connections. The typed clients of @kubernetes/client-node open a
 * connection for each request, TLS handshake included; a wake waits for that. Its configuration, credentials and types are used.
 */
export class KubernetesApi implements AsyncDisposable {
  readonly #config: KubeConfig
  readonly #server: URL
  #dispatcher: Dispatcher | undefined

  /** Throws when the configuration has no current cluster. */
  constructor(config: KubeConfig) {
    const cluster = config.getCurrentCluster()
    if (!cluster) throw new Error('The kubeconfig has no current cluster. Set a current-context in it.')
    this.#config = config
    this.#server = new URL(cluster.server)
  }

  /** Resolves to the parsed answer; rejects with a KubernetesApiError, or the signal's reason. */
  async request<T>(method: HttpMethod, path: string, request: ApiRequest = {}): Promise<T> {
    const answer = await this.#send(method, path, request)
    const text = await answer.body.text()
    return (text ? JSON.parse(text) : undefined) as T
  }

  /** The answer's body as it comes: a watch, or a log that is followed. */
  async stream(
    path: string,
    request: Omit<ApiRequest, 'body' | 'patch'>,
  ): Promise<Dispatcher.ResponseData['body']> {
    return (await this.#send('GET', path, request)).body
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher?.destroy()
  }

  async #send(method: HttpMethod, path: string, request: ApiRequest): Promise<Dispatcher.ResponseData> {
    const { signal } = request
    signal?.throwIfAborted()
    let answer: Dispatcher.ResponseData
    try {
      answer = await this.#once(method, path, request)
      if (answer.statusCode === 401) {
        // Credentials that are files or programs change: those in the connections of before may be the old ones.
        await answer.body.dump()
        this.#dispatcher = undefined
        answer = await this.#once(method, path, request)
      }
    } catch (error) {
      signal?.throwIfAborted()
      throw new KubernetesApiError(
        `The Kubernetes API at ${this.#server.host} could not be asked: ${(error as Error).message}`,
        0,
        'Unreachable',
        { cause: error },
      )
    }
    if (answer.statusCode < 300) return answer
    throw await refusal(answer, method, path)
  }

  async #once(method: HttpMethod, path: string, request: ApiRequest): Promise<Dispatcher.ResponseData> {
    const context = new RequestContext(new URL(path, this.#server).href, method)
    await this.#config.applySecurityAuthentication(context)
    // It makes another one for each request; the first is kept, and its connections with it.
    // None where nothing is set of TLS.
    this.#dispatcher ??= (context.getDispatcher() as unknown as Dispatcher | undefined) ?? new Agent()
    const body = request.body === undefined ? null : JSON.stringify(request.body)
    return this.#dispatcher.request({
      origin: this.#server.origin,
      // A server behind a path (Rancher) keeps it.
      path: `${this.#server.pathname.replace(/\/$/, '')}${path}`,
      method: method as Dispatcher.HttpMethod,
      query: defined(request.query ?? {}),
      headers: {
        ...context.getHeaders(),
        accept: 'application/json',
        ...(body === null
          ? {}
          : { 'content-type': request.patch ? PATCH_TYPES[request.patch] : 'application/json' }),
      },
      body,
      ...(request.signal ? { signal: request.signal } : {}),
      // A watch may be silent for as long as it likes; whoever watches has its own limit.
      bodyTimeout: 0,
    })
  }
}

function defined(query: NonNullable<ApiRequest['query']>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  )
}

async function refusal(
  answer: Dispatcher.ResponseData,
  method: string,
  path: string,
): Promise<KubernetesApiError> {
  const text = await answer.body.text()
  let status: { reason?: string; message?: string } = {}
  try {
    status = JSON.parse(text) as typeof status
  } catch {
    // A proxy's page, not the API server's word.
  }
  const message = status.message ?? text.slice(0, 200)
  return new KubernetesApiError(
    `${method} ${path}: ${answer.statusCode} ${message}`,
    answer.statusCode,
    status.reason ?? 'Unknown',
  )
}
