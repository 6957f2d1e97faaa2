/** What the modules log with; pino fits. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Work that goes on after its request was answered. Nothing of it is lost silently, and `settled` waits for it. */
export class Background {
  readonly #log: Log
  /** What runs → the app it runs for. */
  readonly #running = new Map<Promise<void>, string>()

  constructor(log: Log) {
    this.#log = log
  }

  /** `what` completes "could not …". */
  run(appId: string, what: string, work: () => Promise<unknown>): void {
    const running = work().then(
      () => undefined,
      (error: unknown) => this.#log.error({ err: error, app_id: appId }, `could not ${what}`),
    )
    this.#running.set(running, appId)
    void running.finally(() => this.#running.delete(running))
  }

  /** Resolves once nothing runs (for the app), what was begun meanwhile included. */
  async settled(appId?: string): Promise<void> {
    for (;;) {
      const running = [...this.#running].filter(([, of]) => appId === undefined || of === appId)
      if (running.length === 0) return
      await Promise.all(running.map(([work]) => work))
    }
  }
}
