import { isAbort, messageOf, requestIdOf } from '#lib/api/errors.ts'

export interface Toast {
  id: number
  kind: 'info' | 'error'
  text: string
  request_id: string | undefined
}

/** ms on screen. */
const TIMES = { info: 4_000, error: 10_000 }

class Toasts {
  items = $state.raw<readonly Toast[]>([])
  #next = 1
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>()

  info(text: string): void {
    this.#add({ kind: 'info', text, request_id: undefined })
  }

  /** Shows an error. `doing` says what failed, such as "The app was not renamed". */
  error(error: unknown, doing?: string): void {
    if (isAbort(error)) return
    const message = messageOf(error)
    this.#add({
      kind: 'error',
      text: doing ? `${doing}. ${message}` : message,
      request_id: requestIdOf(error),
    })
  }

  close(id: number): void {
    this.hold(id)
    this.items = this.items.filter((toast) => toast.id !== id)
  }

  /** Keeps a toast open while somebody reads it. */
  hold(id: number): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
  }

  /** Closes it some time later. */
  release({ id, kind }: Toast): void {
    this.hold(id)
    this.#timers.set(
      id,
      setTimeout(() => this.close(id), TIMES[kind]),
    )
  }

  #add(fields: Omit<Toast, 'id'>): void {
    const toast = { id: this.#next++, ...fields }
    // The same text is shown once: a poll that fails again and again must not fill the screen.
    const others = this.items.filter((other) => other.text !== toast.text)
    this.items = [...others.slice(-2), toast]
    this.release(toast)
  }
}

export const toasts = new Toasts()
