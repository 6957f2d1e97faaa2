import { pathToFileURL } from 'node:url'
import { asError } from '../../as-error.ts'
import { untilReady } from '../../readiness.ts'
import type { Clock } from '../../clock.ts'
import type { Endpoint, Failure, Phase, TargetKey } from '../../types.ts'
import { exited, notStarted, unknownTarget } from './failures.ts'
import { startGroup, type ProcessGroup } from './group.ts'
import type { Guard } from './guard.ts'
import {
  checkSpec,
  type ProcessDriverOptions,
  type ProcessOutput,
  type ProcessPlace,
  type ProcessSpec,
} from './options.ts'
import type { Places } from './places.ts'
import { isReady, type Probe } from './probe.ts'
import type { ReplicaHooks, StartedReplica } from './replica-set.ts'
import { Tail } from './tail.ts'

export interface ReplicaDeps {
  readonly command: ProcessDriverOptions['command']
  readonly onOutput: ProcessDriverOptions['onOutput']
  readonly stopTimeout: number
  readonly probe: Probe
  readonly places: Places
  readonly guard: Guard
  readonly clock: Clock
}

/** One process of a target, from its start to the end of its last descendant. */
export class Replica implements StartedReplica {
  readonly id: string
  /** Set when the replica is ready. */
  endpoint: Endpoint | undefined
  readonly phases: Phase[] = []
  /** Resolves when no process of the replica is left; never rejects. */
  readonly over: Promise<void>
  readonly #key: TargetKey
  readonly #deps: ReplicaDeps
  readonly #hooks: ReplicaHooks
  readonly #began: number
  readonly #tail = new Tail()
  readonly #gone = new AbortController()
  #group: ProcessGroup | undefined
  #stopping = false

  constructor(key: TargetKey, deps: ReplicaDeps, hooks: ReplicaHooks) {
    const replica = deps.places.next()
    this.id = `${key}-${replica}`
    this.#key = key
    this.#deps = deps
    this.#hooks = hooks
    this.#began = deps.clock.now()
    this.over = this.#run(replica)
  }

  stop(): void {
    this.#stopping = true
    this.#gone.abort()
    this.#group?.stop()
  }

  kill(): void {
    this.#group?.kill()
  }

  async #run(replica: number): Promise<void> {
    let place: ProcessPlace | undefined
    let failure: Failure | undefined
    try {
      place = await this.#deps.places.take(replica)
      // `stop` may have been called in the meantime.
      if (!this.#stopping) failure = await this.#live(place)
    } catch (error) {
      failure = notStarted(asError(error, '`command`'))
    }
    this.#gone.abort()
    if (failure && !this.#stopping) this.#hooks.ended(failure)
    if (place) await this.#deps.places.giveBack(place).catch(() => undefined)
  }

  /** Starts the process and waits for its end. */
  async #live(place: ProcessPlace): Promise<Failure> {
    const spec = this.#deps.command(this.#key, place)
    if (!spec) return unknownTarget(this.#key)
    checkSpec(spec)
    this.#group = startGroup(spec, {
      clock: this.#deps.clock,
      guard: this.#deps.guard,
      stopTimeout: this.#deps.stopTimeout,
      output: (stream, text) => {
        if (stream === 'stderr') this.#tail.add(text)
        this.#tell({ replica: place.replica, stream, text })
      },
    })
    if (this.#group.started) {
      this.#reach('spawned')
      void this.#becomeReady(place, spec)
    }
    try {
      const exit = await this.#group.ended
      return exited(exit, this.endpoint !== undefined, this.#tail.lines)
    } catch (error) {
      return notStarted(error as Error, spec)
    }
  }

  /** An error of the embedder's code must not end this program. */
  #tell(output: ProcessOutput): void {
    try {
      this.#deps.onOutput?.(this.#key, output)
    } catch (error) {
      process.emitWarning(asError(error, 'onOutput'))
    }
  }

  async #becomeReady(place: ProcessPlace, { listen }: ProcessSpec): Promise<void> {
    const { clock, probe } = this.#deps
    const url = new URL(
      listen === 'socket'
        ? `unix:${pathToFileURL(place.socketPath).pathname}`
        : `http://127.0.0.1:${place.port}`,
    )
    try {
      await untilReady((signal) => isReady(url, probe, signal), {
        signal: this.#gone.signal,
        clock,
      })
    } catch {
      // The process has ended or is being stopped.
      return
    }
    this.endpoint = { id: this.id, url }
    this.#reach('ready')
  }

  #reach(name: string): void {
    this.phases.push({ name, at: this.#deps.clock.now() - this.#began })
    this.#hooks.progress()
  }
}
