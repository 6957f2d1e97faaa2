import { Alarm } from './alarm.ts'
import type { Clock } from './clock.ts'
import type { EndpointHealth, EndpointSet } from './picker.ts'
import type { Endpoint, EndpointFault } from './types.ts'

/** The parts of a target that its health checks use. */
export interface HealthHost {
  readonly clock: Clock
  readonly endpoints: EndpointSet
  /** See Driver.probe. */
  probe(endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
  /** The endpoints that get leases have changed. */
  changed(): void
  /** The endpoint does not exist any more, although the driver reports it. */
  dead(endpoint: Endpoint): void
  /** An endpoint that was dead answers again. */
  alive(endpoint: Endpoint): void
}

/** Codes of errors of a system call: nobody listens, or who listens closes the connection at once. */
const GONE = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT'])
/** ms after which a probe without an answer ends. The endpoint is busy then, or it hangs. */
const PROBE_LIMIT = 1_000
/** ms until an endpoint that is gone, or cannot be reached, is probed again. If the last probe fails too, it is dead. */
const GONE_RETRIES = [50, 200]
const UNREACHABLE_RETRIES = [1_000, 2_000, 4_000]
/** ms until an endpoint that hangs is probed again. Doubled each time, up to the maximum. */
const HANG_INTERVAL = 1_000
const MAX_HANG_INTERVAL = 30_000
/** ms after a successful probe in which a reset connection does not keep requests from the endpoint: it is the request's own. */
const TRUST = 5_000
/** So many faults, each at most CALM ms after the one before, eject an endpoint, although it answers probes. */
const MAX_FAULTS = 5
const CALM = 10_000
/** ms for which an endpoint is ejected. Doubled at each further ejection, up to the maximum. */
const EJECTION = 5_000
const MAX_EJECTION = 60_000
/** ms after an ejection from which on the next one counts as the first. */
const FORGIVEN = 10 * 60_000
/** ms until a dead endpoint is probed again, as long as the driver reports it. Doubled each time, up to the maximum. */
const REVIVAL = 5_000
const MAX_REVIVAL = 60_000
/** The share of a target's endpoints that may be ejected at once. */
const MAX_EJECTED = 0.5

/** What is known of one endpoint at which a request has failed. */
interface Suspect {
  readonly endpoint: Endpoint
  /** Ends the running probe. */
  cancel: (() => void) | undefined
  /** The next probe. */
  readonly next: Alarm
  /** Whether a request has failed since the running probe began: its answer may be older. */
  isStale: boolean
  faults: number
  lastFault: number
  /** When the endpoint last answered a probe. */
  answered: number
  /** Probes in a row that failed, and that ended without an answer. */
  failed: number
  hung: number
  ejections: number
  /** When the last ejection began. */
  ejected: number
  isDead: boolean
  /** Whether it was probed because another activator has found it dead. */
  isVerified: boolean
}

/**
 * Finds out what a failed request says of its endpoint. One failure proves nothing: the request may be the reason. So the endpoint
 * is probed. If it answers, it is kept. If it does not exist any more, it is dead. An endpoint that hangs is kept, but other ones
 * are preferred. An endpoint at which request after request fails although it answers probes is ejected: it gets no requests for
 * a while, if enough other endpoints remain (the outlier detection of Envoy).
 */
export class Health {
  readonly #host: HealthHost
  /** Created at the first fault, because most targets never have one. */
  #suspects: Map<string, Suspect> | undefined

  constructor(host: HealthHost) {
    this.#host = host
  }

  /** A request has failed at this endpoint. Unknown endpoints are ignored. */
  report(id: string, fault: EndpointFault): void {
    const endpoint = this.#host.endpoints.get(id)
    if (!endpoint) return
    const suspect = this.#suspectOf(endpoint)
    const now = this.#host.clock.now()
    suspect.faults = now - suspect.lastFault > CALM ? 1 : suspect.faults + 1
    suspect.lastFault = now
    // A reset may be the fault of the request alone. Nobody but the endpoint can refuse a connection.
    const holds = fault === 'refused' || (fault === 'reset' && now - suspect.answered >= TRUST)
    if (holds) this.#set(suspect, 'held')
    if (suspect.cancel) {
      suspect.isStale = true
      return
    }
    if (suspect.next.armed && !(holds && suspect.hung > 0)) return
    if (!holds) this.#set(suspect, 'avoided')
    this.#probe(suspect)
  }

  /** Another activator has found these endpoints dead. Each is probed once: perhaps only that activator cannot reach it. */
  verify(ids: readonly string[]): void {
    for (const suspect of this.#suspects?.values() ?? [])
      suspect.isVerified &&= ids.includes(suspect.endpoint.id)
    for (const id of ids) {
      const endpoint = this.#host.endpoints.get(id)
      if (!endpoint) continue
      const suspect = this.#suspectOf(endpoint)
      if (suspect.isVerified) continue
      suspect.isVerified = true
      if (!suspect.cancel && !suspect.next.armed) this.#probe(suspect)
    }
  }

  /** Forgets the endpoints that the driver does not report any more. */
  update(): void {
    const { endpoints } = this.#host
    for (const [id, suspect] of this.#suspects ?? []) {
      const isKnown = suspect.isDead ? endpoints.reported.includes(id) : endpoints.get(id)
      if (!isKnown) this.#forget(suspect)
    }
  }

  /** Ends all probes and forgets all faults, but not which endpoints are dead: the driver may still report them. */
  clear(): void {
    for (const suspect of this.#suspects?.values() ?? []) if (!suspect.isDead) this.#forget(suspect)
  }

  close(): void {
    for (const suspect of this.#suspects?.values() ?? []) this.#forget(suspect)
  }

  #suspectOf(endpoint: Endpoint): Suspect {
    this.#suspects ??= new Map()
    const known = this.#suspects.get(endpoint.id)
    // A dead endpoint is used again after a scale-down that failed. What was known of it does not count any more.
    if (known?.isDead) this.#forget(known)
    else if (known) return known
    const suspect: Suspect = {
      endpoint,
      cancel: undefined,
      next: new Alarm(this.#host.clock),
      isStale: false,
      faults: 0,
      lastFault: 0,
      answered: -Infinity,
      failed: 0,
      hung: 0,
      ejections: 0,
      ejected: -Infinity,
      isDead: false,
      isVerified: false,
    }
    this.#suspects.set(endpoint.id, suspect)
    return suspect
  }

  #forget(suspect: Suspect): void {
    suspect.next.stop()
    suspect.cancel?.()
    this.#suspects?.delete(suspect.endpoint.id)
  }

  #set(suspect: Suspect, health: EndpointHealth): void {
    if (this.#host.endpoints.setHealth(suspect.endpoint.id, health)) this.#host.changed()
  }

  #probe(suspect: Suspect): void {
    const ending = new AbortController()
    const end = (then?: () => void): void => {
      if (suspect.cancel !== cancel) return
      suspect.cancel = undefined
      stopTimer()
      then?.()
      ending.abort()
    }
    const cancel = (): void => end()
    suspect.next.stop()
    suspect.cancel = cancel
    suspect.isStale = false
    const stopTimer = this.#host.clock.schedule(PROBE_LIMIT, () => end(() => this.#hangs(suspect)))
    this.#host.probe(suspect.endpoint, ending.signal).then(
      (answers) => end(() => (answers ? this.#answers(suspect) : this.#fails(suspect, GONE_RETRIES))),
      (error: NodeJS.ErrnoException) => end(() => this.#judge(suspect, error.code ?? '')),
    )
  }

  #judge(suspect: Suspect, code: string): void {
    if (GONE.has(code)) this.#fails(suspect, GONE_RETRIES)
    // It answers something, but no valid HTTP.
    else if (code.startsWith('HPE_')) this.#answers(suspect)
    else this.#fails(suspect, UNREACHABLE_RETRIES)
  }

  #answers(suspect: Suspect): void {
    if (suspect.isDead) {
      this.#forget(suspect)
      return this.#host.alive(suspect.endpoint)
    }
    const isBad = suspect.faults >= MAX_FAULTS && this.#mayEject(suspect)
    if (suspect.isStale && !isBad) return this.#probe(suspect)
    const now = this.#host.clock.now()
    suspect.answered = now
    suspect.failed = suspect.hung = 0
    if (!isBad) return this.#set(suspect, 'usable')
    suspect.faults = 0
    if (now - suspect.ejected > FORGIVEN) suspect.ejections = 0
    suspect.ejected = now
    this.#set(suspect, 'held')
    const time = Math.min(EJECTION * 2 ** suspect.ejections++, MAX_EJECTION)
    suspect.next.set(time, () => this.#probe(suspect))
  }

  #fails(suspect: Suspect, retries: readonly number[]): void {
    if (this.#isGone(suspect)) return this.#lookAgain(suspect)
    suspect.hung = 0
    const retry = retries[suspect.failed++]
    if (retry !== undefined) {
      this.#set(suspect, 'held')
      return suspect.next.set(retry, () => this.#probe(suspect))
    }
    suspect.isDead = true
    suspect.failed = 0
    this.#lookAgain(suspect)
    this.#host.dead(suspect.endpoint)
  }

  #isGone(suspect: Suspect): boolean {
    return suspect.isDead && !this.#host.endpoints.get(suspect.endpoint.id)
  }

  /** Another activator may use the endpoint, so that this one can neither stop nor replace it. It may also have been cut off itself. */
  #lookAgain(suspect: Suspect): void {
    suspect.next.set(Math.min(REVIVAL * 2 ** suspect.failed++, MAX_REVIVAL), () => this.#probe(suspect))
  }

  #hangs(suspect: Suspect): void {
    if (this.#isGone(suspect)) return this.#lookAgain(suspect)
    suspect.failed = 0
    this.#set(suspect, 'avoided')
    suspect.next.set(Math.min(HANG_INTERVAL * 2 ** suspect.hung++, MAX_HANG_INTERVAL), () =>
      this.#probe(suspect),
    )
  }

  #mayEject({ endpoint }: Suspect): boolean {
    const { endpoints } = this.#host
    return endpoints.heldBesides(endpoint.id) + 1 <= endpoints.size * MAX_EJECTED
  }
}
