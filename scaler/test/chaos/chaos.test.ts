import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { REGRESSIONS } from './regressions.ts'
import { step, type Step } from './steps.ts'
import { World } from './world.ts'

/** `CHAOS_SEED` walks another way, `CHAOS_RUNS` a longer one. A failure prints its seed and its shrunk steps. */
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_261_125)
const RUNS = Number(process.env['CHAOS_RUNS'] ?? 150)
const LEAST_STEPS = 10_000

async function walk(steps: readonly Step[], embedded = false): Promise<World> {
  const world = await World.begin({ embedded })
  for (const each of steps) await world.take(each)
  await world.end()
  return world
}

const WAYS = [
  ['its own heartbeats', false],
  ["the embedder's members", true],
] as const

test.each(WAYS)(
  'with %s, whatever happens, no request is lost, answered twice or sent to a dying endpoint, and nothing is left',
  async (_way, embedded) => {
    let taken = 0
    const outcomes: Record<string, number> = {}
    console.log(`chaos: seed ${SEED}, ${RUNS} runs`)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 200, size: 'max' }), async (steps) => {
        taken += steps.length
        const world = await walk(steps, embedded)
        for (const [outcome, count] of Object.entries(world.outcomes))
          outcomes[outcome] = (outcomes[outcome] ?? 0) + count
      }),
      { seed: SEED, numRuns: RUNS, interruptAfterTimeLimit: Number(process.env['CHAOS_LIMIT'] ?? 240_000) },
    )
    console.log(`chaos: ${taken} steps`, outcomes)
    expect(taken).toBeGreaterThanOrEqual(LEAST_STEPS)
    // A walk in which these never happen proves nothing.
    for (const outcome of ['leased', 'refused', 'slept', 'crashed', 'aborted', 'SCALER_WAKE_TIMEOUT'])
      expect(outcomes[outcome], outcome).toBeGreaterThan(0)
  },
  300_000,
)

describe('what broke it once', () => {
  test.each(Object.entries(REGRESSIONS))('%s', async (_name, steps) => {
    await walk(steps)
    await walk(steps, true)
  })
})
