import { RequestContext, type HttpMethod, type KubeConfig } from '@kubernetes/client-node'
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'

/** The API server refused, answered what cannot be understood, or could not be asked. */
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

/** How a body changes what is there: a JSON merge patch, a JSON patch, or server-side apply. */
export type PatchType = 'merge' | 'json' | 'apply'

/** One request to the API server, but for its method and path. */
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

/** ms for an answer to begin, and between its pieces. The API server itself gives up sooner, or works in vain. */
const PATIENCE = 30_000

/**
 * The API server, spoken to in JSON over connections that are kept. The typed clients of @kubernetes/client-node open a
 * connection for each request, TLS handshake included; a wake waits for that. Its configuration, credentials and types are
 * used. Paths are the API's own, such as `/api/v1/namespaces/apps/pods`. Dispose of it: what is under way fails then.
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
    return this.#unlessBroken(request.signal, async () => {
      const { body, statusCode } = await this.#send(method, path, request, PATIENCE)
      const text = await body.text()
      try {
        return (text ? JSON.parse(text) : undefined) as T
      } catch {
        // A proxy's page, not the API server's word.
        throw refusal(method, path, statusCode, text)
      }
    })
  }

  /** The answer's body as it comes: a watch, or a log that is followed. It may be silent for as long as it likes. */
  async stream(path: string, request: Omit<ApiRequest, 'body' | 'patch'> = {}): Promise<Readable> {
    return this.#unlessBroken(request.signal, async () => (await this.#send('GET', path, request, 0)).body)
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher?.destroy()
  }

  async #unlessBroken<T>(signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    try {
      return await ask()
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof KubernetesApiError) throw error
      throw new KubernetesApiError(
        `The Kubernetes API at ${this.#server.host} could not be asked: ${(error as Error).message}`,
        0,
        'Unreachable',
        { cause: error },
      )
    }
  }

  async #send(
    method: HttpMethod,
    path: string,
    request: ApiRequest,
    bodyTimeout: number,
  ): Promise<Dispatcher.ResponseData> {
    let answer = await this.#once(method, path, request, bodyTimeout)
    if (answer.statusCode === 401) {
      await answer.body.dump()
      // Credentials that are files or programs change: those in the connections of before may be the old ones.
      // What is under way on them goes on.
      void this.#dispatcher?.close()
      this.#dispatcher = undefined
      answer = await this.#once(method, path, request, bodyTimeout)
    }
    if (answer.statusCode < 300) return answer
    throw refusal(method, path, answer.statusCode, await answer.body.text())
  }

  async #once(
    method: HttpMethod,
    path: string,
    request: ApiRequest,
    bodyTimeout: number,
  ): Promise<Dispatcher.ResponseData> {
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
      headersTimeout: PATIENCE,
      bodyTimeout,
    })
  }
}

function defined(query: NonNullable<ApiRequest['query']>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  )
}

function refusal(method: string, path: string, statusCode: number, text: string): KubernetesApiError {
  let status = {} as { reason?: string; message?: string } | null
  try {
    status = JSON.parse(text) as typeof status
  } catch {
    // Not the API server's word.
  }
  const message = status?.message ?? text.slice(0, 200)
  return new KubernetesApiError(
    `${method} ${path}: ${statusCode} ${message}`,
    statusCode,
    status?.reason ?? 'Unknown',
  )
}
