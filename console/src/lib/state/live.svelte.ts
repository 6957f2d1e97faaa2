import type { EventPosition, PlatformEvent } from '@fp/sdk/client'
import { client } from '#lib/api/client.ts'

/** ms for which a hidden page keeps its stream. A browser has few connections to one origin, and a person may have many tabs. */
const HIDDEN_LIMIT = 20_000

type Listener = (event: PlatformEvent) => void

/** What happens among the person's apps, as the platform tells it: one stream for the whole page. */
class Live {
  /** False while the stream is broken: what the page shows may be old. */
  connected = $state(true)
  readonly #listeners = new Set<Listener>()
  #position: EventPosition = { id: undefined }
  #closing: AbortController | undefined

  /** Returns how to stop listening. */
  on(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Listens to the platform while the page is visible, until the result is called. */
  start(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined
    const onVisibility = (): void => {
      clearTimeout(timer)
      if (document.hidden) timer = setTimeout(() => this.#closing?.abort(), HIDDEN_LIMIT)
      else this.#open()
    }
    document.addEventListener('visibilitychange', onVisibility)
    onVisibility()
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisibility)
      this.#closing?.abort()
      // Another person may log in.
      this.#position = { id: undefined }
    }
  }

  #open(): void {
    if (this.#closing && !this.#closing.signal.aborted) return
    const closing = (this.#closing = new AbortController())
    void this.#listen(closing)
  }

  async #listen(closing: AbortController): Promise<void> {
    const { signal } = closing
    try {
      const events = client.events.watch({
        signal,
        after: this.#position,
        onConnection: (connected) => (this.connected = connected),
      })
      for await (const event of events) for (const listener of [...this.#listeners]) listener(event)
    } catch {
      // Closed by this page, or the session has ended, which the client tells the layout.
    } finally {
      closing.abort()
    }
  }
}

export const live = new Live()
