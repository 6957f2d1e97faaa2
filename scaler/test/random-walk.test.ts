import { expect, test } from 'vitest'
import { Walk } from './walk.ts'

/** Steps of one walk. Each is up to three actions in one turn, then everything that is ready to run. */
const STEPS = 5_000

const ONE_WAKE_AT_ONCE = { atOnce: 1, turnLimit: 300 }

test.each([
  [1, {}],
  [2, {}],
  [3, {}],
  [4, {}],
  [5, ONE_WAKE_AT_ONCE],
  [6, ONE_WAKE_AT_ONCE],
])(
  'a random walk keeps every invariant and leaves nothing behind (seed %i, wakes %o)',
  async (seed, wakes) => {
    const walk = await Walk.begin(seed, wakes)
    try {
      for (let step = 0; step < STEPS; step++) await walk.step()
      await walk.end()
    } catch (error) {
      throw new Error(`seed ${seed}, ${walk.steps} steps; the last ones:\n${walk.trace.join('\n')}`, {
        cause: error,
      })
    }
    // A walk that wakes nothing, grants nothing or fails nothing proves nothing.
    for (const [outcome, count] of Object.entries(walk.outcomes)) expect(count, outcome).toBeGreaterThan(0)
  },
  60_000,
)
