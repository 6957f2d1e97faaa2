import type { TargetPhase } from './types.ts'

/**
 * Which phase may follow which. `new`: a new generation begins, and whatever an asynchronous step of the earlier one finds out
 * must have no effect. `same`: the end of what the generation began.
 */
const NEXT: Readonly<Record<TargetPhase, Readonly<Partial<Record<TargetPhase, 'new' | 'same'>>>>> = {
  // The target is found running, or endpoints that may still run are stopped.
  asleep: { waking: 'new', awake: 'new', draining: 'new' },
  // The wake succeeds, is called off, or has failed.
  waking: { awake: 'same', asleep: 'new', draining: 'new' },
  // The target is put to sleep, or all its endpoints are lost.
  awake: { draining: 'new', asleep: 'new' },
  // The scale-down ends, or the target is retired meanwhile.
  draining: { asleep: 'same', draining: 'new' },
}

/** The phase of a target, and the number of its generation. */
export class Lifecycle {
  readonly #entered: (phase: TargetPhase) => void
  #phase: TargetPhase = 'asleep'
  #generation = 0

  /** `entered` is called after each transition. */
  constructor(entered: (phase: TargetPhase) => void) {
    this.#entered = entered
  }

  get phase(): TargetPhase {
    return this.#phase
  }

  get generation(): number {
    return this.#generation
  }

  /** Returns the generation. Throws if the phase may not follow the present one. */
  enter(phase: TargetPhase): number {
    const kind = NEXT[this.#phase][phase]
    if (!kind) throw new Error(`A target that is ${this.#phase} cannot be ${phase} next.`)
    if (kind === 'new') this.#generation++
    this.#phase = phase
    this.#entered(phase)
    return this.#generation
  }
}
