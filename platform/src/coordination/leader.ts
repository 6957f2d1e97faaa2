import { systemClock, type Clock } from '@fp/scaler'
import { pause } from '../pause.ts'
import { createElector, type ElectorOptions } from './elector.ts'

/** Work that must run in one process only. The signal aborts before another process can lead, and the work must end then. */
export type Singleton = (signal: AbortSignal, term: number) => Promise<void>

/** The one leader among the processes that share a lease. */
export interface Leader extends AsyncDisposable {
  /**
   * Runs `work` while this process leads: at once if it leads already, and once in each term. Work that fails is run again.
   * Disposing of the result ends this work. Disposing of the leader ends all work and gives the lead up.
   */
  run(name: string, work: Singleton): AsyncDisposable
}

/** The delay before failed work is run again, in ms. It doubles each time, up to the second value. */
const FIRST_RETRY = 1_000
const LAST_RETRY = 30_000

interface Term {
  readonly signal: AbortSignal
  readonly number: number
}

export interface LeaderOptions extends ElectorOptions {
  /** Called when work has failed. It is run again. */
  readonly onFailure?: (name: string, error: Error) => void
}

/** Leader election over a lease. A process takes part once it has registered work with `run`. */
export function createLeader(options: LeaderOptions): Leader {
  const elector = createElector(options)
  const works = createWorks(options)
  let electing: AsyncDisposable | undefined
  return {
    run(name, work) {
      const running = works.run(name, work)
      electing ??= elector.run((signal, number) => works.lead({ signal, number }))
      return running
    },
    async [Symbol.asyncDispose]() {
      await electing?.[Symbol.asyncDispose]()
    },
  }
}

/** The leader where there is only one process. */
export function alwaysLeader(options: Pick<LeaderOptions, 'clock' | 'onFailure'> = {}): Leader {
  const works = createWorks(options)
  const stop = new AbortController()
  const leading = works.lead({ signal: stop.signal, number: 1 })
  return {
    run: works.run,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('This process is stopping.'))
      await leading
    },
  }
}

function createWorks({
  clock = systemClock,
  onFailure = () => undefined,
}: Pick<LeaderOptions, 'clock' | 'onFailure'>): {
  run(name: string, work: Singleton): AsyncDisposable
  lead(term: Term): Promise<void>
} {
  const works = new Set<{ begin(term: Term): void }>()
  const running = new Set<Promise<void>>()
  let current: Term | undefined

  async function supervise(
    name: string,
    work: Singleton,
    signal: AbortSignal,
    term: Term,
    clock: Clock,
  ): Promise<void> {
    for (let retry = FIRST_RETRY; !signal.aborted; retry = Math.min(LAST_RETRY, retry * 2)) {
      try {
        return await work(signal, term.number)
      } catch (error) {
        if (!signal.aborted) onFailure(name, error as Error)
      }
      await pause(clock, retry, signal)
    }
  }

  return {
    run(name, work) {
      const ended = new AbortController()
      let last: Promise<void> = Promise.resolve()
      const entry = {
        begin(term: Term) {
          const signal = AbortSignal.any([term.signal, ended.signal])
          const done = supervise(name, work, signal, term, clock).finally(() => running.delete(done))
          running.add(done)
          last = done
        },
      }
      works.add(entry)
      if (current && !current.signal.aborted) entry.begin(current)
      return {
        async [Symbol.asyncDispose]() {
          works.delete(entry)
          ended.abort(new Error(`${name} has been stopped.`))
          await last
        },
      }
    },

    /** Resolves once the signal is aborted and all work has ended. */
    async lead(term) {
      current = term
      for (const entry of works) entry.begin(term)
      if (!term.signal.aborted)
        await new Promise<void>((resolve) =>
          term.signal.addEventListener('abort', () => resolve(), { once: true }),
        )
      await Promise.all(running)
      current = undefined
    },
  }
}
