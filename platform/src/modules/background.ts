import type { Log } from '../logger.ts'

/** Work that goes on after its request was answered. Its errors are logged, and `settled` waits for it. */
export class Background {
  readonly #log: Log
  /** Running work → the app that it runs for. */
  readonly #running = new Map<Promise<void>, string>()

  constructor(log: Log) {
    this.#log = log
  }

  /** `what` completes the log line "could not …". */
  run(appId: string, what: string, work: () => Promise<unknown>): void {
    const running = work().then(
      () => undefined,
      (error: unknown) => this.#log.error({ err: error, app_id: appId }, `could not ${what}`),
    )
    this.#running.set(running, appId)
    void running.finally(() => this.#running.delete(running))
  }

  /** Resolves once no work runs (for the app), including work that was begun meanwhile. */
  async settled(appId?: string): Promise<void> {
    for (;;) {
      const running = [...this.#running].filter(([, of]) => appId === undefined || of === appId)
      if (running.length === 0) return
      await Promise.all(running.map(([work]) => work))
    }
  }
}
