import { onTestFinished } from 'vitest'

export interface TestPage {
  /** The person turns to another tab, or comes back. */
  look(looks: boolean): void
}

/** What the console's state uses of a page: whether somebody looks at it. Workers do not load in it. */
export function openPage(): TestPage {
  const document = Object.assign(new EventTarget(), { hidden: false })
  const global = globalThis as Record<string, unknown>
  Object.assign(global, { document, window: new EventTarget(), Worker: BrokenWorker })
  onTestFinished(() => {
    for (const name of ['document', 'window', 'Worker']) delete global[name]
  })
  return {
    look(looks) {
      document.hidden = !looks
      document.dispatchEvent(new Event('visibilitychange'))
    },
  }
}

/** A worker in a browser without WebAssembly: it reports an error and answers nothing. */
class BrokenWorker {
  onerror: (() => void) | undefined
  postMessage(): void {
    queueMicrotask(() => this.onerror?.())
  }
  terminate(): void {}
}
