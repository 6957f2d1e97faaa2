import type { Deployment, DeploymentEvent, Page } from '../wire/index.ts'
import { ApiError, CLIENT_CODES } from './errors.ts'
import { readEvents } from './sse.ts'
import type { CallOptions, PageOptions, Transport } from './transport.ts'
import { wait } from './wait.ts'

/** How often a broken event stream is opened again before giving up, and the first wait in ms (doubled each time). */
const RECONNECTS = 6
const FIRST_WAIT = 200

export interface Deployments {
  /** Newest first. */
  list(appId: string, options?: PageOptions): Promise<Page<Deployment>>
  get(appId: string, deploymentId: string, options?: CallOptions): Promise<Deployment>
  /**
   * The deployment's events from its first to `ready` or `failed`, each once, across broken connections.
   * Ends after the last one. Throws ApiError when the stream cannot be opened.
   */
  watch(appId: string, deploymentId: string, options?: CallOptions): AsyncGenerator<DeploymentEvent>
}

export function createDeployments(transport: Transport): Deployments {
  const path = (appId: string, id: string): string =>
    `/api/apps/${encodeURIComponent(appId)}/deployments/${encodeURIComponent(id)}`

  async function* watch(
    appId: string,
    id: string,
    { signal }: CallOptions = {},
  ): AsyncGenerator<DeploymentEvent> {
    const seen = new Set<string>()
    for (let attempt = 0; ; attempt++) {
      try {
        for await (const event of stream(transport, `${path(appId, id)}/events`, signal)) {
          const key = `${event.stage} ${event.at}`
          if (seen.has(key)) continue // the server replays from the start on every connection
          seen.add(key)
          attempt = 0
          yield event
          if (isFinal(event)) return
        }
      } catch (error) {
        signal?.throwIfAborted()
        if (error instanceof ApiError && error.code !== CLIENT_CODES.network) throw error
      }
      if (attempt >= RECONNECTS) throw lost()
      await wait(FIRST_WAIT * 2 ** attempt, signal)
    }
  }

  return {
    list: (appId, { cursor, limit, signal } = {}) =>
      transport.json('GET', `/api/apps/${encodeURIComponent(appId)}/deployments`, {
        signal,
        query: { cursor, limit },
      }),
    get: (appId, id, options) => transport.json<Deployment>('GET', path(appId, id), options),
    watch,
  }
}

/** Whether nothing comes after this event. */
export function isFinal(event: Pick<DeploymentEvent, 'stage'>): boolean {
  return event.stage === 'ready' || event.stage === 'failed'
}

async function* stream(
  transport: Transport,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<DeploymentEvent> {
  const response = await transport.open('GET', path, { signal, headers: { accept: 'text/event-stream' } })
  if (!response.body) return
  for await (const { data } of readEvents(response.body)) yield JSON.parse(data) as DeploymentEvent
}

function lost(): ApiError {
  const message =
    'The connection to the deployment broke. It goes on without you: reload the page to see how it went.'
  return new ApiError({ status: 0, code: CLIENT_CODES.network, message })
}
