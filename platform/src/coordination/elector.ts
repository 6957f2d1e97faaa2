import { systemClock, type Clock } from '@fp/scaler'
import { pause } from '../pause.ts'

/** The state of a lease. Times in ms. */
export interface LeaseState {
  /** Empty: the lease was given up. */
  readonly holder: string
  /** By the clock of the process that wrote it. For people to read, never to be compared. */
  readonly renewTime: number
  /** How long the holder may keep the lease without a renewal. */
  readonly duration: number
  /** Grows with each leader, so that late writes of an earlier leader can be refused (a fencing token). */
  readonly term: number
}

/** One lease. Both methods may reject at any time and are then called again. The signal aborts when nobody waits any more. */
export interface Lease {
  read(signal: AbortSignal): Promise<(LeaseState & { readonly revision: number }) | undefined>
  /** Replaces exactly this revision, or creates the lease if there was none. Of two conflicting writes one rejects. */
  write(next: LeaseState, revision: number | undefined, signal: AbortSignal): Promise<void>
}

export interface ElectorOptions {
  readonly lease: Lease
  /** Unique to this process. */
  readonly identity: string
  readonly clock?: Clock
  /** In ms. A leader stops after `renewDeadline` without a renewal. Others may take over `duration` after the last one seen. */
  readonly duration?: number
  readonly renewDeadline?: number
  readonly retry?: number
  readonly random?: () => number
  readonly onError?: (error: Error) => void
}

export interface Elector {
  /**
   * Calls `lead` with the term each time that this process becomes the leader, never twice at once. The signal aborts before
   * another process can lead, and `lead` must end then. The lease is given up when `lead` ends by itself, and when the result
   * is disposed of, which ends `lead` too.
   */
  run(lead: (signal: AbortSignal, term: number) => Promise<void>): AsyncDisposable
}

const DURATION = 15_000
const RENEW_DEADLINE = 10_000
const RETRY = 2_000
/** Processes that wait for the lease add a random delay up to this part of `retry`, so that they do not all ask at once. */
const JITTER = 1.2

/**
 * Leader election over a Lease, after client-go's tools/leaderelection. No clock is compared with another machine's: for a
 * process, a lease is free when the process has seen no change of it for its duration, by the process's own clock. The
 * holder counts from the time before it sent its last renewal, which is earlier, so it has stopped leading by then.
 */
export function createElector(options: ElectorOptions): Elector {
  const { lease, identity, clock = systemClock, random = Math.random, onError = () => undefined } = options
  const { duration = DURATION, renewDeadline = RENEW_DEADLINE, retry = RETRY } = options
  if (!(retry < renewDeadline && renewDeadline < duration))
    throw new RangeError('A lease needs retry < renewDeadline < duration.')

  return {
    run(lead) {
      const stop = new AbortController()
      let seen: { readonly state: string; readonly at: number } | undefined

      /** Whether another process has the lease and may still be leading. */
      function isTaken(state: LeaseState | undefined): boolean {
        const text = JSON.stringify([state?.holder, state?.renewTime, state?.duration, state?.term])
        if (seen?.state !== text) seen = { state: text, at: clock.now() }
        if (!state || state.holder === '' || state.holder === identity) return false
        return clock.now() < seen.at + state.duration
      }

      /** Takes or renews the lease. Returns the time before that and the term; undefined while another process has the lease. */
      async function take(): Promise<{ began: number; term: number } | undefined> {
        const began = clock.now()
        return limited(async (signal) => {
          const found = await lease.read(signal)
          if (isTaken(found)) return undefined
          signal.throwIfAborted()
          const term = found ? found.term + (found.holder === identity ? 0 : 1) : 1
          const next = { holder: identity, renewTime: clock.wall(), duration, term }
          await lease.write(next, found?.revision, signal)
          return { began, term }
        })
      }

      async function giveUp(): Promise<void> {
        await limited(async (signal) => {
          const found = await lease.read(signal)
          if (found?.holder !== identity) return
          signal.throwIfAborted()
          const { term, revision } = found
          await lease.write({ holder: '', renewTime: clock.wall(), duration, term }, revision, signal)
        }).catch(onError)
      }

      /** Leads from `began` on until the lease may be lost. */
      async function leadFrom(began: number, term: number): Promise<void> {
        const over = new AbortController()
        const end = (why: string): void => over.abort(new Error(why))
        let cancel = (): void => undefined
        const lasting = (from: number): void => {
          cancel()
          const left = from + renewDeadline - clock.now()
          cancel = clock.schedule(left, () => end('The lease could not be renewed in time.'))
        }
        const stopped = (): void => end('This process is stopping.')
        lasting(began)
        stop.signal.addEventListener('abort', stopped)
        if (stop.signal.aborted) stopped()
        const work = over.signal.aborted ? undefined : lead(over.signal, term)
        const done = work?.then(
          () => end('There is no more to do.'),
          (error: Error) => {
            if (!over.signal.aborted) onError(error)
            end('The work has failed.')
          },
        )
        await pause(clock, retry, over.signal)
        while (!over.signal.aborted) {
          try {
            const renewed = await take()
            // A renewal that comes too late counts for nothing: the work's signal has been aborted.
            if (over.signal.aborted) break
            if (renewed === undefined) end('Another process has the lease.')
            else lasting(renewed.began)
          } catch (error) {
            onError(error as Error)
          }
          await pause(clock, retry, over.signal)
        }
        cancel()
        stop.signal.removeEventListener('abort', stopped)
        await done
        await giveUp()
      }

      async function campaign(): Promise<void> {
        while (!stop.signal.aborted) {
          try {
            const taken = await take()
            // If this took too long, another process may have the lease again.
            if (taken && clock.now() < taken.began + renewDeadline) await leadFrom(taken.began, taken.term)
          } catch (error) {
            onError(error as Error)
          }
          await pause(clock, retry * (1 + JITTER * random()), stop.signal)
        }
      }

      const campaigning = campaign()
      return {
        async [Symbol.asyncDispose]() {
          stop.abort()
          await campaigning
        },
      }
    },
  }

  /** Limits the time of a call, so that an API that does not answer cannot keep a leader from noticing its deadline. */
  async function limited<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController()
    const late = new Error(`The lease's API did not answer within ${renewDeadline / 1000} s.`)
    const cancel = clock.schedule(renewDeadline, () => limit.abort(late))
    try {
      return await Promise.race([
        work(limit.signal),
        new Promise<never>((_, reject) => limit.signal.addEventListener('abort', () => reject(late))),
      ])
    } finally {
      cancel()
    }
  }
}
