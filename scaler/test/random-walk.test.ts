import { expect, test } from 'vitest'
import { Walk } from './walk.ts'

/** Steps of one walk. Each is up to three actions in one turn, then everything that is ready to run. */
const STEPS = 5_000

test.each([1, 2, 3, 4])(
  'a random walk keeps every invariant and leaves nothing behind (seed %i)',
  async (seed) => {
    const walk = await Walk.begin(seed)
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
