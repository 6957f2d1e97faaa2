import { createHash } from 'node:crypto'
import type { App, Deployment } from '@fp/sdk/wire'
import type { ServerSentEvent } from '../sse.ts'
import { createAudience, type Addressed, type AudienceDeps } from './audience.ts'
import { isPosition, type Change, type ChangeLog } from './change-log.ts'

export interface EventStreamDeps extends AudienceDeps {
  readonly log: ChangeLog
  /** The apps among these that the user has, as their owner sees them. */
  apps(userId: string, appIds: readonly string[]): Promise<App[]>
  deployment(appId: string, deploymentId: string): Promise<Deployment | undefined>
  onError(error: unknown): void
}

export interface EventStreamService extends Disposable {
  /**
   * What changes among a user's apps, from the position `lastEventId` on. The first event is `reset` if changes may be missing: the
   * client then loads what it shows. An event has the newest state, so not every state in between is told.
   */
  follow(
    userId: string,
    options: {
      readonly lastEventId: string | undefined
      readonly signal: AbortSignal
      /** ms after which the stream ends. */
      readonly lifetime: number
    },
  ): AsyncGenerator<ServerSentEvent>
}

export function createEventStreamService(deps: EventStreamDeps): EventStreamService {
  const { log } = deps
  const audience = createAudience(deps)
  const inboxes = new Map<string, Set<Inbox>>()

  /** All changes up to here are in the inboxes. */
  let position = log.position
  /** One change after the other: if a later one were told first, a client could go on after it and miss the earlier one. */
  let addressing = Promise.resolve()

  async function address(change: Change): Promise<void> {
    try {
      const found = inboxes.size > 0 ? await audience(change) : undefined
      if (found) for (const inbox of inboxes.get(found.userId) ?? []) inbox.put(found)
    } catch (error) {
      // Nobody knows whom the change concerns, so everybody looks again.
      deps.onError(error)
      allLost()
    }
  }
  function allLost(): void {
    for (const all of inboxes.values()) for (const inbox of all) inbox.lost()
  }

  const watch = log.watch((change) => {
    const at = log.position
    addressing = addressing.then(async () => {
      if (change === 'lost') allLost()
      else await address(change)
      position = at
    })
  })

  function open(userId: string): Inbox & Disposable {
    const inbox = new Inbox()
    const all = inboxes.get(userId) ?? new Set()
    inboxes.set(userId, all.add(inbox))
    return Object.assign(inbox, {
      [Symbol.dispose]: () => {
        all.delete(inbox)
        if (all.size === 0 && inboxes.get(userId) === all) inboxes.delete(userId)
      },
    })
  }

  /** Puts what the client has missed into its inbox. */
  async function catchUp(userId: string, inbox: Inbox, lastEventId: string | undefined): Promise<void> {
    const missed = lastEventId !== undefined && isPosition(lastEventId) ? log.since(lastEventId) : undefined
    if (!missed) return inbox.lost()
    for (const found of await Promise.all(missed.map(audience)))
      if (found?.userId === userId) inbox.put(found)
  }

  async function* news(
    userId: string,
    changes: readonly Addressed[],
  ): AsyncGenerator<Omit<ServerSentEvent, 'id'>> {
    for (const { appId, deploymentId } of changes) {
      const deployment = deploymentId && (await deps.deployment(appId, deploymentId))
      if (deployment) yield { event: 'deployment', data: deployment }
    }
    const ids = [...new Set(changes.map(({ appId }) => appId))]
    const apps = new Map((await deps.apps(userId, ids)).map((app) => [app.app_id, app]))
    for (const id of ids) {
      const app = apps.get(id)
      yield app ? { event: 'app', data: app } : { event: 'app.deleted', data: { app_id: id } }
    }
  }

  return {
    async *follow(userId, { lastEventId, signal, lifetime }) {
      // Opened before the first read, so that no change between the two is missed.
      using inbox = open(userId)
      await catchUp(userId, inbox, lastEventId)
      const sent = new Sent()
      const ending = AbortSignal.any([signal, AbortSignal.timeout(lifetime)])
      for (;;) {
        const changes = await inbox.take(ending).catch((reason: unknown) => {
          if (signal.aborted) throw reason
          return undefined
        })
        if (!changes) return
        const id = position
        if (changes === 'lost') yield { id, event: 'reset', data: {} }
        else for await (const one of news(userId, changes)) if (sent.isNew(one)) yield { id, ...one }
      }
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  }
}

/** The changes that one stream has not told yet. Several changes of one thing count as one, so its size is bounded. */
class Inbox {
  readonly #changes = new Map<string, Addressed>()
  #isLost = false
  #wake = (): void => undefined

  put(change: Addressed): void {
    this.#changes.set(change.deploymentId ?? change.appId, change)
    this.#wake()
  }

  lost(): void {
    this.#isLost = true
    this.#wake()
  }

  /** Waits for changes and takes them all. Rejects when the signal aborts. */
  async take(signal: AbortSignal): Promise<readonly Addressed[] | 'lost'> {
    signal.throwIfAborted()
    if (!this.#isLost && this.#changes.size === 0)
      await new Promise<void>((resolve, reject) => {
        const abort = (): void => reject(signal.reason as Error)
        signal.addEventListener('abort', abort, { once: true })
        this.#wake = () => {
          signal.removeEventListener('abort', abort)
          resolve()
        }
      })
    const changes = [...this.#changes.values()]
    this.#changes.clear()
    if (!this.#isLost) return changes
    this.#isLost = false
    return 'lost'
  }
}

/** What a stream has sent last of each thing. Most changes of an app are not seen in what its owner sees. */
class Sent {
  readonly #hashes = new Map<string, string>()

  isNew({ event, data }: Omit<ServerSentEvent, 'id'>): boolean {
    const { app_id: appId, deployment_id: deploymentId } = data as { app_id: string; deployment_id?: string }
    const hash = createHash('sha1')
      .update(event + JSON.stringify(data))
      .digest('base64')
    const key = deploymentId ?? appId
    if (this.#hashes.get(key) === hash) return false
    this.#hashes.set(key, hash)
    return true
  }
}
