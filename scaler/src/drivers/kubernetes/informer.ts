import type { KubernetesObject } from '@kubernetes/client-node'
import { Alarm } from '../../alarm.ts'
import type { Clock } from '../../clock.ts'
import { pause } from '../../readiness.ts'
import { KubernetesApiError, type KubernetesApi } from './api.ts'
import { linesOf } from './lines.ts'

/** What an informer follows, and whom it tells. None of the three must throw. */
export interface InformerOptions<T extends KubernetesObject> {
  readonly api: KubernetesApi
  /** Of the collection, such as `/api/v1/namespaces/apps/pods`. */
  readonly path: string
  readonly labelSelector?: string
  readonly clock: Clock
  /** The object as it is now, and as it was known before: for each at the beginning, and at each change. */
  changed(object: T, before?: T): void
  /** The last that was known of one that is gone. */
  deleted(object: T): void
  /** Something went wrong, and is tried again. */
  failed?(error: Error): void
}

/** Disposing it ends its watch; nothing is told after that. */
export interface Informer<T> extends AsyncDisposable {
  /** Everything there is by the latest word. */
  objects(): Iterable<T>
  /** One of them by its name. */
  get(name: string): T | undefined
}

interface Listed<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items: T[]
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubernetesObject & { readonly code?: number; readonly message?: string }
}

/** Objects of one page of a list. */
const PAGE = 500
/** Seconds until the server ends a watch, which is then resumed: a connection proves itself by that where nothing happens. */
const WATCH_SECONDS = 60
/** ms of silence after which a connection counts as broken. Bookmarks are no sign of life: events have none. */
const SILENCE = 80_000
/** ms after which a server that ended a watch is taken to be well. */
const STEADY = 30_000
/** Between attempts, ms: doubled each time up to the maximum, by up to a half at random so that many do not come at once. */
const FIRST_RETRY = 250
const MAX_RETRY = 30_000

/** The resource version is too old, or the server has forgotten it. */
const isExpired = (error: unknown): boolean =>
  error instanceof KubernetesApiError && (error.status === 410 || error.reason === 'Expired')

/**
 * Follows all objects of a collection: lists them, watches from there, resumes where a watch broke off, and lists anew
 * when the server says that it cannot be resumed from there (410). What changed meanwhile is told then, deletions too.
 * Resolves once the first list has been told; rejects when it cannot be had.
 */
export async function createInformer<T extends KubernetesObject>(
  options: InformerOptions<T>,
): Promise<Informer<T>> {
  const follower = new Follower(options)
  await follower.list()
  const running = follower.run()
  return {
    objects: () => follower.known.values(),
    get: (name) => follower.known.get(name),
    async [Symbol.asyncDispose]() {
      follower.stop()
      await running
    },
  }
}

class Follower<T extends KubernetesObject> {
  /** By name: a collection is one of a namespace. */
  readonly known = new Map<string, T>()
  readonly #options: InformerOptions<T>
  readonly #stopped = new AbortController()
  #version = ''
  #retry = FIRST_RETRY

  constructor(options: InformerOptions<T>) {
    this.#options = options
  }

  stop(): void {
    this.#stopped.abort(new Error('The informer has been stopped.'))
  }

  async list(): Promise<void> {
    const { api, path, labelSelector } = this.#options
    const found = new Map<string, T>()
    let next: string | undefined
    let version: string | undefined
    do {
      const page: Listed<T> = await api.request<Listed<T>>('GET', path, {
        query: { labelSelector, limit: PAGE, continue: next },
        signal: this.#stopped.signal,
      })
      for (const object of page.items) found.set(nameOf(object), object)
      next = page.metadata?.continue || undefined
      version = page.metadata?.resourceVersion
    } while (next)
    this.#version = version ?? ''
    for (const name of [...this.known.keys()]) if (!found.has(name)) this.#remove(name)
    for (const object of found.values()) this.#put(object)
  }

  /** Until it is stopped; never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      try {
        if (this.#version === '') await this.list()
        // One that ends at once, without a word, may do so for ever.
        if (!(await this.#watch())) await this.#pause()
      } catch (error) {
        if (signal.aborted) return
        if (isExpired(error)) {
          this.#version = ''
          // Once at once; a server that keeps saying so is not to be asked in a circle.
          if (this.#retry === FIRST_RETRY) {
            this.#retry *= 2
            continue
          }
        } else this.#options.failed?.(error as Error)
        await this.#pause()
      }
    }
  }

  /** One connection, from the version that is known until it ends. Resolves to whether it stood or brought anything. */
  async #watch(): Promise<boolean> {
    const { api, path, labelSelector, clock } = this.#options
    const silent = new AbortController()
    const alarm = new Alarm(clock)
    const heard = (): void =>
      alarm.set(SILENCE, () => silent.abort(new Error(`The watch of ${path} has fallen silent.`)))
    heard()
    const began = clock.now()
    let news = false
    try {
      const body = await api.stream(path, {
        query: {
          watch: true,
          labelSelector,
          resourceVersion: this.#version,
          allowWatchBookmarks: true,
          timeoutSeconds: WATCH_SECONDS,
        },
        signal: AbortSignal.any([this.#stopped.signal, silent.signal]),
      })
      for await (const line of linesOf(body)) {
        heard()
        if (!line) continue
        this.#hear(JSON.parse(line) as WatchEvent)
        news = true
      }
      silent.signal.throwIfAborted()
      const stood = clock.now() - began >= STEADY
      if (stood) this.#retry = FIRST_RETRY
      return news || stood
    } finally {
      alarm.stop()
    }
  }

  #hear({ type, object }: WatchEvent): void {
    if (type === 'ERROR') {
      const { code = 0, message = 'unknown' } = object
      throw new KubernetesApiError(`The watch ended: ${message}`, code, code === 410 ? 'Expired' : 'Error')
    }
    this.#retry = FIRST_RETRY
    this.#version = object.metadata?.resourceVersion ?? this.#version
    if (type === 'DELETED') this.#remove(nameOf(object), object as T)
    else if (type !== 'BOOKMARK') this.#put(object as T)
  }

  #put(object: T): void {
    const name = nameOf(object)
    const before = this.known.get(name)
    if (before?.metadata?.resourceVersion === object.metadata?.resourceVersion && before) return
    // Deleted and made anew between two lists: the end of the first is not to be missed.
    const another = before && before.metadata?.uid !== object.metadata?.uid
    if (another) this.#remove(name)
    this.known.set(name, object)
    this.#options.changed(object, another ? undefined : before)
  }

  #remove(name: string, last?: T): void {
    const known = this.known.get(name)
    if (this.known.delete(name)) this.#options.deleted(last ?? known!)
  }

  #pause(): Promise<void> {
    const ms = this.#retry * (1 + Math.random() / 2)
    this.#retry = Math.min(this.#retry * 2, MAX_RETRY)
    return pause(ms, this.#options.clock, this.#stopped.signal).catch(() => undefined)
  }
}

function nameOf(object: KubernetesObject): string {
  return object.metadata?.name ?? ''
}
