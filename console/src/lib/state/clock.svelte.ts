const TICK = 15_000

/** The time that relative times are shown against; moves on by itself while anything looks at it. */
class Clock {
  #now = $state(Date.now())
  #timer: ReturnType<typeof setInterval> | undefined

  get now(): number {
    this.#timer ??= setInterval(() => (this.#now = Date.now()), TICK)
    return this.#now
  }
}

export const clock = new Clock()
