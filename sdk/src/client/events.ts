import type { App, Deployment } from '../wire/index.ts'
import { ApiError, CLIENT_CODES } from './errors.ts'
import { readEvents } from './sse.ts'
import type { CallOptions, Transport } from './transport.ts'
import { wait } from './wait.ts'

/** ms until a broken stream is opened again: doubled at each attempt, up to the maximum. */
const FIRST_WAIT = 250
const LAST_WAIT = 15_000

/** What changes among a user's apps. `reset`: changes may have been missed, so load what you show. */
export type PlatformEvent =
  | { readonly name: 'reset' }
  | { readonly name: 'app'; readonly app: App }
  | { readonly name: 'app.deleted'; readonly appId: string }
  | { readonly name: 'deployment'; readonly deployment: Deployment }

export interface EventOptions extends CallOptions {
  /** The `position` of an earlier stream, to go on after it. */
  after?: EventPosition | undefined
  /** Called when the stream is open, and when it has broken. */
  onConnection?: (connected: boolean) => void
}

/** How far a stream was read. `watch` keeps it up to date. */
export interface EventPosition {
  id: string | undefined
}

export interface EventCalls {
  /** Events as they happen, across broken connections, until the signal aborts. Throws ApiError if the platform refuses the stream. */
  watch(options?: EventOptions): AsyncGenerator<PlatformEvent>
}

export function createEvents(transport: Transport): EventCalls {
  return {
    async *watch({ signal, after = { id: undefined }, onConnection } = {}) {
      for (let attempt = 0; ; attempt++) {
        let isBroken = false
        try {
          const headers = { accept: 'text/event-stream', ...(after.id && { 'last-event-id': after.id }) }
          const { body } = await transport.open('GET', '/api/events', { signal, headers })
          onConnection?.(true)
          attempt = 0
          for await (const { event, data, id } of readEvents(body!)) {
            const known = toEvent(event, JSON.parse(data))
            if (known) yield known
            // Only what was handled counts as read.
            after.id = id ?? after.id
          }
        } catch (error) {
          signal?.throwIfAborted()
          if (error instanceof ApiError && !isPassing(error)) throw error
          isBroken = true
        }
        signal?.throwIfAborted()
        // A stream that ends is continued by the next one.
        if (isBroken) onConnection?.(false)
        await wait(Math.min(FIRST_WAIT * 2 ** attempt, LAST_WAIT), signal)
      }
    },
  }
}

/** Undefined for an event that this client does not know: a newer platform has more. */
function toEvent(name: string, data: unknown): PlatformEvent | undefined {
  if (name === 'reset') return { name }
  if (name === 'app') return { name, app: data as App }
  if (name === 'app.deleted') return { name, appId: (data as { app_id: string }).app_id }
  if (name === 'deployment') return { name, deployment: data as Deployment }
  return undefined
}

/** Whether it may succeed later without anybody doing anything. */
function isPassing({ code, status }: ApiError): boolean {
  return code === CLIENT_CODES.network || status === 429 || status >= 500
}
