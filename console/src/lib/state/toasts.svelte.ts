import { isAbort, messageOf, requestIdOf } from '#lib/api/errors.ts'

export interface Toast {
  id: number
  kind: 'info' | 'error'
  text: string
  request_id: string | undefined
}

/** ms on screen. Errors stay until they are closed. */
const INFO_TIME = 4000

class Toasts {
  items = $state.raw<readonly Toast[]>([])
  #next = 1

  info(text: string): void {
    const id = this.#add({ kind: 'info', text, request_id: undefined })
    setTimeout(() => this.close(id), INFO_TIME)
  }

  /** Shows what was thrown. `doing` says what failed, such as "The app was not renamed". */
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
    this.items = this.items.filter((toast) => toast.id !== id)
  }

  #add(toast: Omit<Toast, 'id'>): number {
    const id = this.#next++
    // The same news twice is one toast: a poll that fails must not fill the screen.
    const others = this.items.filter((other) => other.text !== toast.text)
    this.items = [...others.slice(-3), { id, ...toast }]
    return id
  }
}

export const toasts = new Toasts()
