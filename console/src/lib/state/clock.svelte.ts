import { createSubscriber } from 'svelte/reactivity'

/** ms between two ticks: enough for "2 minutes ago". */
const TICK = 15_000

/** The current time, for relative times. Ticks only while something shows one. */
class Clock {
  #subscribe = createSubscriber((update) => {
    const timer = setInterval(update, TICK)
    return () => clearInterval(timer)
  })

  get now(): number {
    this.#subscribe()
    return Date.now()
  }
}

export const clock = new Clock()
