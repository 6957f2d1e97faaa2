import type { Clock } from './clock.ts'
import { awakeFull, type ScalerError } from './errors.ts'
import type { TargetKey, TargetStats } from './types.ts'

/** How many targets may be awake, and how much of a resource they may use. What is not set is unlimited. */
export interface AwakeLimits {
  /** The maximum number of targets that are awake or are being woken. */
  readonly most?: number
  /** The same for the targets of one group. */
  readonly mostPerGroup?: number | ((group: string) => number | Promise<number>)
  /** Returns the group of a target, such as its owner. Default: all targets are in one group. */
  readonly groupOf?: (key: TargetKey) => string | Promise<string>
  /** Targets with the same unit count as one, such as two versions of an app during a deployment. Default: the key. */
  readonly unitOf?: (key: TargetKey) => string
  /** A wake puts no target with a higher priority to sleep. Default: 0 for all. */
  readonly priorityOf?: (key: TargetKey) => number
  /**
   * The part of a resource, such as memory, that the awake targets use; 1 = all that they may use. Called at each wake and every
   * five seconds. From 0.8 on, idle targets are put to sleep before their idle timeout. From 1 on, each wake first puts one to
   * sleep. If the call fails, nothing is done.
   */
  readonly pressure?: () => number | Promise<number>
}

/** The parts of an activator that the limits use. */
export interface AwakeRoomHost {
  readonly clock: Clock
  stats(key: TargetKey): TargetStats | undefined
  idleTimeout(key: TargetKey): number
  /** See Activator.sleep. */
  sleep(key: TargetKey): Promise<boolean>
  failed(error: Error): void
}

/** ms between two looks at the pressure. */
const LOOK = 5_000
/** The pressure from which on idle targets are put to sleep early. */
const RELIEF = 0.8
/** At most so many are put to sleep at one look: the pressure falls only when they have ended. */
const MOST_AT_ONCE = 8

interface Entry {
  readonly unit: string
  /** Undefined until it is known. */
  group: string | undefined
}

interface Idle {
  readonly key: TargetKey
  /** In ms of the clock. */
  readonly since: number
  readonly priority: number
}

/**
 * Limits the targets that are awake. A wake beyond a limit first puts the target to sleep that has been idle longest, of the same
 * group if the group is the reason. If every target is in use, the wake is refused.
 */
export class AwakeRoom {
  readonly #limits: AwakeLimits
  readonly #host: AwakeRoomHost
  /** The targets that are awake or admitted. */
  readonly #entries = new Map<TargetKey, Entry>()
  /** The targets that are being put to sleep for another one. */
  readonly #leaving = new Set<TargetKey>()
  #cancelLook: () => void = () => undefined

  constructor(limits: AwakeLimits, host: AwakeRoomHost) {
    this.#limits = limits
    this.#host = host
    if (limits.pressure) this.#lookLater()
  }

  /** Called before a target is started. Rejects with SCALER_AWAKE_FULL. Its failure has the code AWAKE_GROUP, AWAKE_ALL or AWAKE_PRESSURE. */
  async admit(key: TargetKey): Promise<void> {
    if (this.#entries.has(key)) return
    const { groupOf, mostPerGroup = Infinity, most = Infinity } = this.#limits
    const group = (await groupOf?.(key)) ?? ''
    const mostHere = typeof mostPerGroup === 'number' ? mostPerGroup : await mostPerGroup(group)
    // Two wakes at once must not take the same place: this one counts from now on.
    this.#entries.set(key, { unit: this.#unitOf(key), group })
    const tried = new Set<TargetKey>()
    const makeRoom = async (reason: ScalerError, among?: string): Promise<void> => {
      const idle = this.#idleFor(key, tried, among)
      if (idle === undefined) throw reason
      tried.add(idle)
      await this.#putToSleep(idle)
    }
    try {
      while (this.#count(group) > mostHere) await makeRoom(awakeFull('AWAKE_GROUP', mostHere), group)
      while (this.#count() > most) await makeRoom(awakeFull('AWAKE_ALL', most))
      if ((await this.#pressure()) >= 1) await makeRoom(awakeFull('AWAKE_PRESSURE'))
    } catch (error) {
      // Another activator may have woken the target meanwhile.
      if (this.#host.stats(key)?.phase !== 'awake') this.#entries.delete(key)
      throw error
    }
  }

  /** Called when a target is awake, also one that runs already or that another activator has woken. */
  entered(key: TargetKey): void {
    if (this.#entries.has(key)) return
    const entry: Entry = { unit: this.#unitOf(key), group: undefined }
    this.#entries.set(key, entry)
    Promise.resolve(this.#limits.groupOf?.(key) ?? '').then(
      (group) => (entry.group = group),
      (error: Error) => this.#host.failed(error),
    )
  }

  /** Called when a target is asleep. */
  left(key: TargetKey): void {
    this.#entries.delete(key)
  }

  close(): void {
    this.#cancelLook()
  }

  #unitOf(key: TargetKey): string {
    return this.#limits.unitOf?.(key) ?? key
  }

  /** The number of units that are awake, of all groups or of one. */
  #count(group?: string): number {
    const units = new Set<string>()
    for (const [key, entry] of this.#entries)
      if (!this.#leaving.has(key) && (group === undefined || entry.group === group)) units.add(entry.unit)
    return units.size
  }

  /** The target to put to sleep for another one; each is tried once. */
  #idleFor(key: TargetKey, tried: ReadonlySet<TargetKey>, group?: string): TargetKey | undefined {
    const unit = this.#unitOf(key)
    const priority = this.#priorityOf(key)
    const found = this.#idle().find((other) => {
      const entry = this.#entries.get(other.key)!
      if (tried.has(other.key) || entry.unit === unit || other.priority > priority) return false
      return group === undefined || entry.group === group
    })
    return found?.key
  }

  /** The idle targets: those with the lowest priority first, then those that have been idle longest. */
  #idle(): Idle[] {
    const idle: Idle[] = []
    for (const key of this.#entries.keys()) {
      const since = this.#host.stats(key)?.idleSince
      if (since !== undefined && !this.#leaving.has(key))
        idle.push({ key, since, priority: this.#priorityOf(key) })
    }
    return idle.sort((a, b) => a.priority - b.priority || a.since - b.since)
  }

  #priorityOf(key: TargetKey): number {
    return this.#limits.priorityOf?.(key) ?? 0
  }

  /** A target that is in use again or that the driver does not stop stays awake. Never rejects. */
  async #putToSleep(key: TargetKey): Promise<void> {
    this.#leaving.add(key)
    await this.#host.sleep(key).catch((error: Error) => this.#host.failed(error))
    this.#leaving.delete(key)
  }

  async #pressure(): Promise<number> {
    try {
      return (await this.#limits.pressure?.()) ?? 0
    } catch (error) {
      this.#host.failed(error as Error)
      return 0
    }
  }

  #lookLater(): void {
    this.#cancelLook = this.#host.clock.schedule(LOOK, () => {
      this.#lookLater()
      void this.#relieve()
    })
  }

  /** Puts targets to sleep that have been idle for a part of their idle timeout: the higher the pressure, the smaller the part. */
  async #relieve(): Promise<void> {
    const pressure = await this.#pressure()
    if (pressure < RELIEF) return
    const part = Math.max(0, (1 - pressure) / (1 - RELIEF))
    const now = this.#host.clock.now()
    const due = this.#idle().filter(({ key, since }) => now - since >= part * this.#host.idleTimeout(key))
    for (const { key } of due.slice(0, MOST_AT_ONCE)) void this.#putToSleep(key)
  }
}
