import { RequestContext, type HttpMethod, type KubeConfig } from '@kubernetes/client-node'
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'

/** The API server refused the request, sent an invalid response, or could not be reached. */
export class KubernetesApiError extends Error {
  override readonly name = 'KubernetesApiError'
  /** The HTTP status; 0 if there was no response. */
  readonly status: number
  /** The reason given by Kubernetes, such as `NotFound`, `Conflict`, `Forbidden`. */
  readonly reason: string

  constructor(message: string, status: number, reason: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
    this.reason = reason
  }
}

/** The type of a patch: a JSON merge patch, a JSON patch, or server-side apply. */
export type PatchType = 'merge' | 'json' | 'apply'

/** One request to the API server, without its method and path. */
export interface ApiRequest {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. If `patch` is set, the body is a patch of that type. */
  readonly body?: unknown
  readonly patch?: PatchType
  readonly signal?: AbortSignal
}

const PATCH_TYPES: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  // JSON is valid YAML.
  apply: 'application/apply-patch+yaml',
}

/** The maximum ms until a response begins, and between its parts. The API server's own limits are usually shorter. */
const PATIENCE = 30_000

/**
 * A client of the API server that sends JSON over keep-alive connections. The typed clients of @kubernetes/client-node open a
 * connection, with TLS handshake, for each request, which would delay wakes; only the configuration, credentials and types of
 * that package are used. Paths are those of the API, such as `/api/v1/namespaces/apps/pods`. Must be disposed; pending requests
 * fail then.
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

  /** Resolves to the parsed response. Rejects with a KubernetesApiError or the signal's reason. */
  async request<T>(method: HttpMethod, path: string, request: ApiRequest = {}): Promise<T> {
    return this.#unlessBroken(request.signal, async () => {
      const { body, statusCode } = await this.#send(method, path, request, PATIENCE)
      const text = await body.text()
      try {
        return (text ? JSON.parse(text) : undefined) as T
      } catch {
        // The response is not JSON, so it comes from a proxy and not from the API server.
        throw refusal(method, path, statusCode, text)
      }
    })
  }

  /** Resolves to the response body as a stream: a watch, or a log that is followed. The stream may be silent for any time. */
  async stream(path: string, request: Omit<ApiRequest, 'body' | 'patch'> = {}): Promise<Readable> {
    return this.#unlessBroken(request.signal, async () => (await this.#send('GET', path, request, 0)).body)
  }

  /** Aborts pending requests and closes the connections. */
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
      // Credentials from files or programs change, and existing connections may still use old ones. Requests that are pending on
      // the old connections continue.
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
    // RequestContext has a new dispatcher for each request, or none if no TLS options are set. The first one is reused, to
    // keep its connections.
    this.#dispatcher ??= (context.getDispatcher() as unknown as Dispatcher | undefined) ?? new Agent()
    const body = request.body === undefined ? null : JSON.stringify(request.body)
    return this.#dispatcher.request({
      origin: this.#server.origin,
      // The server's URL may have a path (Rancher).
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
    // Not a response of the API server.
  }
  const message = status?.message ?? text.slice(0, 200)
  return new KubernetesApiError(
    `${method} ${path}: ${statusCode} ${message}`,
    statusCode,
    status?.reason ?? 'Unknown',
  )
}
