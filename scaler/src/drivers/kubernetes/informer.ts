import type { KubernetesObject } from '@kubernetes/client-node'
import { Alarm } from '../../alarm.ts'
import type { Clock } from '../../clock.ts'
import { pause } from '../../readiness.ts'
import { KubernetesApiError, type KubernetesApi } from './api.ts'
import { linesOf } from './lines.ts'

/** The objects that an informer follows, and its callbacks. The callbacks must not throw. */
export interface InformerOptions<T extends KubernetesObject> {
  readonly api: KubernetesApi
  /** The path of the collection, such as `/api/v1/namespaces/apps/pods`. */
  readonly path: string
  readonly labelSelector?: string
  readonly clock: Clock
  /** Called for each object at the beginning, and at each change. `before` is the previous version, if one was known. */
  changed(object: T, before?: T): void
  /** Called with the last known version of an object that was deleted. */
  deleted(object: T): void
  /** Called with the error of a list or a watch that failed and will be retried. */
  failed?(error: Error): void
}

/** Disposing the informer ends its watch; no callback is called after that. */
export interface Informer<T> extends AsyncDisposable {
  /** All known objects. */
  objects(): Iterable<T>
  /** False from the failure of a list or a watch until the next one succeeds: `objects` may be old. */
  readonly isCurrent: boolean
  /** A known object by its name. */
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

/** The number of objects in one page of a list. */
const PAGE = 500
/** Seconds after which the server ends a watch, which is then resumed. This shows that the connection works if it is idle. */
const WATCH_SECONDS = 60
/** ms of silence after which a connection counts as broken. Bookmarks cannot prove that it works: the kind Event has none. */
const SILENCE = 80_000
/** ms that a watch must have lasted for its end to count as normal. */
const STEADY = 30_000
/** ms between attempts: doubled each time up to the maximum. Up to half of it is added at random, to spread many clients. */
const FIRST_RETRY = 250
const MAX_RETRY = 30_000

/** Whether the resource version is too old for the server. */
const isExpired = (error: unknown): boolean =>
  error instanceof KubernetesApiError && (error.status === 410 || error.reason === 'Expired')

/**
 * Follows all objects of a collection: lists them, watches for changes, resumes a watch that ended, and lists again if the
 * server cannot resume it (410). A new list reports all changes since the watch ended, including deletions. Resolves after the
 * first list was reported; rejects if it cannot be read.
 */
export async function createInformer<T extends KubernetesObject>(
  options: InformerOptions<T>,
): Promise<Informer<T>> {
  const follower = new Follower(options)
  await follower.list()
  const running = follower.run()
  return {
    objects: () => follower.known.values(),
    get isCurrent() {
      return follower.isCurrent
    },
    get: (name) => follower.known.get(name),
    async [Symbol.asyncDispose]() {
      follower.stop()
      await running
    },
  }
}

class Follower<T extends KubernetesObject> {
  /** The known objects by name. Names are unique, because a collection belongs to one namespace. */
  readonly known = new Map<string, T>()
  isCurrent = true
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

  /** Watches until the informer is stopped; never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      try {
        if (this.#version === '') await this.list()
        // A watch that ends early without any event may do so every time.
        if (!(await this.#watch())) await this.#pause()
      } catch (error) {
        if (signal.aborted) return
        if (isExpired(error)) {
          this.#version = ''
          // The first retry is immediate. If the error repeats, the retries are delayed to avoid a busy loop.
          if (this.#retry === FIRST_RETRY) {
            this.#retry *= 2
            continue
          }
        } else {
          this.isCurrent = false
          this.#options.failed?.(error as Error)
        }
        await this.#pause()
      }
    }
  }

  /** Watches over one connection, from the known version on. Resolves to whether the watch lasted, or delivered any event. */
  async #watch(): Promise<boolean> {
    const { api, path, labelSelector, clock } = this.#options
    const silent = new AbortController()
    const alarm = new Alarm(clock)
    const resetTimer = (): void =>
      alarm.set(SILENCE, () =>
        silent.abort(new Error(`The watch of ${path} has received nothing for ${SILENCE / 1000} s.`)),
      )
    resetTimer()
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
      this.isCurrent = true
      for await (const line of linesOf(body)) {
        resetTimer()
        if (!line) continue
        this.#handle(JSON.parse(line) as WatchEvent)
        news = true
      }
      silent.signal.throwIfAborted()
      const lasted = clock.now() - began >= STEADY
      if (lasted) this.#retry = FIRST_RETRY
      return news || lasted
    } finally {
      alarm.stop()
    }
  }

  #handle({ type, object }: WatchEvent): void {
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
    // The object was deleted and created again between two lists: the deletion must be reported too.
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
