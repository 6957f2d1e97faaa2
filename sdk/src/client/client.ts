import type {
  App,
  AppDetail,
  AssetList,
  CallStreamEvent,
  ChangeAssetsBody,
  CloneAppBody,
  CreateAppBody,
  Database,
  DeployAccepted,
  DeployBody,
  Draft,
  LoginBody,
  LogLines,
  Page,
  PatchAppBody,
  ProxyAnswer,
  ProxyBody,
  SaveDraftBody,
  SessionCreated,
  Setup,
  SignupBody,
  Template,
  TemplateDetail,
  UploadAnswer,
  User,
  ValidateAnswer,
  ValidateBody,
  Version,
} from '../wire/index.ts'
import { ApiError, CLIENT_CODES } from './errors.ts'
import { readEvents } from './sse.ts'
import { createDeployments, type Deployments } from './deployments.ts'
import { createEvents, type EventCalls } from './events.ts'
import {
  createTransport,
  type CallOptions,
  type PageOptions,
  type Transport,
  type TransportOptions,
} from './transport.ts'

export interface LogOptions extends CallOptions {
  /** How many of the last lines. */
  lines?: number | undefined
}

/** The HTTP API, typed. Every call throws ApiError, or the signal's reason when aborted. */
export interface Client {
  auth: {
    signup(body: SignupBody, options?: CallOptions): Promise<SessionCreated>
    login(body: LoginBody, options?: CallOptions): Promise<SessionCreated>
    logout(options?: CallOptions): Promise<void>
    me(options?: CallOptions): Promise<User>
    setup(options?: CallOptions): Promise<Setup>
  }
  apps: {
    list(options?: PageOptions): Promise<Page<App>>
    create(body: CreateAppBody, options?: CallOptions): Promise<AppDetail>
    get(appId: string, options?: CallOptions): Promise<AppDetail>
    patch(appId: string, body: PatchAppBody, options?: CallOptions): Promise<AppDetail>
    remove(appId: string, options?: CallOptions): Promise<void>
    /** 409 when someone else saved since `revision`. */
    saveDraft(
      appId: string,
      body: SaveDraftBody,
      options?: CallOptions & { keepalive?: boolean },
    ): Promise<Draft>
    /** 422 `FP_VALIDATION_FAILED` with findings as `details` when the code cannot run. */
    deploy(appId: string, body?: DeployBody, options?: CallOptions): Promise<DeployAccepted>
    rollback(appId: string, version: number, options?: CallOptions): Promise<DeployAccepted>
    /** Path → content. The answer names refused files in `refused`. Throws ApiError when all are refused. */
    uploadAssets(
      appId: string,
      files: ReadonlyMap<string, Blob>,
      options?: CallOptions,
    ): Promise<UploadAnswer>
    /** Path → new path, or null to delete. */
    changeAssets(
      appId: string,
      changes: ChangeAssetsBody['changes'],
      options?: CallOptions,
    ): Promise<AssetList>
    /** The URL of the content of an asset of the draft. */
    assetUrl(appId: string, path: string): string
    versions(appId: string, options?: PageOptions): Promise<Page<Version>>
    clone(appId: string, body?: CloneAppBody, options?: CallOptions): Promise<App>
    sleep(appId: string, options?: CallOptions): Promise<App>
    wake(appId: string, options?: CallOptions): Promise<App>
    proxy(appId: string, body: ProxyBody, options?: CallOptions): Promise<ProxyAnswer>
    /**
     * The same with the answer as it arrives: a `head`, pieces of the `body`, then `end` or `error`. Throws ApiError when there is
     * no head, and when the connection to the platform breaks.
     */
    callStream(appId: string, body: ProxyBody, options?: CallOptions): AsyncGenerator<CallStreamEvent>
    logs(appId: string, options?: LogOptions): Promise<LogLines>
  }
  deployments: Deployments
  events: EventCalls
  /** The database of the user, which all apps of the user share. */
  database: {
    get(options?: CallOptions): Promise<Database>
  }
  templates: {
    list(options?: PageOptions): Promise<Page<Template>>
    get(templateId: string, options?: CallOptions): Promise<TemplateDetail>
  }
  validate(body: ValidateBody, options?: CallOptions): Promise<ValidateAnswer>
}

export function createClient(options: TransportOptions = {}): Client {
  const transport = createTransport(options)
  return {
    auth: authCalls(transport),
    apps: appCalls(transport),
    deployments: createDeployments(transport),
    events: createEvents(transport),
    database: { get: (call) => transport.json('GET', '/api/database', call) },
    templates: {
      list: (page = {}) => list<Template>(transport, '/api/templates', page),
      get: (id, call) => transport.json('GET', `/api/templates/${encodeURIComponent(id)}`, call),
    },
    validate: (body, call) => transport.json('POST', '/api/validate', { ...call, body }),
  }
}

function authCalls({ json }: Transport): Client['auth'] {
  return {
    signup: (body, call) => json('POST', '/api/auth/signup', { ...call, body }),
    login: (body, call) => json('POST', '/api/auth/login', { ...call, body }),
    logout: (call) => json('POST', '/api/auth/logout', call),
    me: (call) => json('GET', '/api/auth/me', call),
    setup: (call) => json('GET', '/api/auth/setup', call),
  }
}

function appCalls(transport: Transport): Client['apps'] {
  const { json } = transport
  const at = (appId: string, rest = ''): string => `/api/apps/${encodeURIComponent(appId)}${rest}`
  return {
    list: (page = {}) => list<App>(transport, '/api/apps', page),
    create: (body, call) => json('POST', '/api/apps', { ...call, body }),
    get: (id, call) => json('GET', at(id), call),
    patch: (id, body, call) => json('PATCH', at(id), { ...call, body }),
    remove: (id, call) => json('DELETE', at(id), call),
    saveDraft: (id, body, call) => json('PUT', at(id, '/draft'), { ...call, body }),
    deploy: (id, body = {}, call) => json('POST', at(id, '/deploy'), { ...call, body }),
    rollback: (id, version, call) => json('POST', at(id, '/rollback'), { ...call, body: { version } }),
    uploadAssets: (id, files, call) => {
      const body = new FormData()
      for (const [path, content] of files) body.append(path, content)
      return json('POST', at(id, '/assets'), { ...call, body })
    },
    changeAssets: (id, changes, call) => json('PATCH', at(id, '/assets'), { ...call, body: { changes } }),
    assetUrl: (id, path) =>
      transport.base + at(id, `/assets/${path.split('/').map(encodeURIComponent).join('/')}`),
    versions: (id, page = {}) => list<Version>(transport, at(id, '/versions'), page),
    clone: (id, body = {}, call) => json('POST', at(id, '/clone'), { ...call, body }),
    sleep: (id, call) => json('POST', at(id, '/sleep'), call),
    wake: (id, call) => json('POST', at(id, '/wake'), call),
    proxy: (id, body, call) => json('POST', at(id, '/proxy'), { ...call, body }),
    callStream: (id, body, call) => streamCall(transport, at(id, '/proxy/stream'), body, call),
    logs: (id, { lines, ...call } = {}) => json('GET', at(id, '/logs'), { ...call, query: { lines } }),
  }
}

async function* streamCall(
  transport: Transport,
  path: string,
  body: ProxyBody,
  { signal }: CallOptions = {},
): AsyncGenerator<CallStreamEvent> {
  const headers = { accept: 'text/event-stream' }
  const response = await transport.open('POST', path, { signal, headers, body })
  try {
    if (response.body)
      for await (const { data } of readEvents(response.body)) {
        const event = JSON.parse(data) as CallStreamEvent
        yield event
        if (event.event === 'end' || event.event === 'error') return
      }
  } catch (cause) {
    signal?.throwIfAborted()
    throw broken(cause)
  }
  throw broken()
}

function broken(cause?: unknown): ApiError {
  const message =
    'The connection to the platform broke before the answer was complete. Send the request again.'
  return new ApiError({ status: 0, code: CLIENT_CODES.network, message }, { cause })
}

function list<T>(
  transport: Transport,
  path: string,
  { cursor, limit, signal }: PageOptions,
): Promise<Page<T>> {
  return transport.json('GET', path, { signal, query: { cursor, limit } })
}

/** All items of a list, page after page. */
export async function* everyItem<T>(fetchPage: (cursor?: string) => Promise<Page<T>>): AsyncGenerator<T> {
  let cursor: string | undefined
  do {
    const page: Page<T> = await fetchPage(cursor)
    yield* page.items
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
}
