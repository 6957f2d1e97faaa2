import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Faults } from './faults.ts'
import { REGRESSIONS } from './regressions.ts'
import { step, type Step } from './steps.ts'
import { World } from './world.ts'

/** `CHAOS_SEED` walks another way, `CHAOS_RUNS` a longer one or, if it is 0, none. A failure prints its seed and its shrunk steps. */
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_261_125)
const RUNS = Number(process.env['CHAOS_RUNS'] ?? 150)
const LEAST_STEPS = 10_000

/** What happens in every long walk: one in which these never happen proves nothing. */
const OUTCOMES = [
  ...['leased', 'refused', 'slept', 'crashed', 'vanished', 'died', 'stalled', 'timeout', 'reset', 'aborted'],
  'SCALER_WAKE_TIMEOUT',
]

async function walk(steps: readonly Step[], embedded = false, faults: Faults = {}): Promise<World> {
  const world = await World.begin({ embedded, faults })
  for (const each of steps) await world.take(each)
  await world.end()
  return world
}

const WAYS = [
  ['its own heartbeats', false],
  ["the embedder's members", true],
] as const

test.skipIf(RUNS === 0).each(WAYS)(
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
    for (const outcome of OUTCOMES) expect(outcomes[outcome], outcome).toBeGreaterThan(0)
  },
  300_000,
)

describe('what broke it once', () => {
  test.each(Object.entries(REGRESSIONS))('%s', async (_name, steps) => {
    await walk(steps)
    await walk(steps, true)
  })
})

const ASK: Step = { do: 'ask', member: 0, app: 0, bytes: 0 }
const NOW: Step = { do: 'advance', ms: 0 }
const STALLED: readonly Step[] = [
  { do: 'ask', member: 0, app: 2, bytes: 0 },
  NOW,
  { do: 'release', nth: 0 },
  { do: 'stall', member: 0 },
  { do: 'delays', acceptance: 0, start: 0, news: 1_000, store: 0 },
  { do: 'advance', ms: 30_000 },
  { do: 'sleep', member: 1, app: 2 },
  { do: 'ask', member: 0, app: 2, bytes: 0 },
  { do: 'heal', member: 0 },
]

/** Each fault is planted outside of the library. An oracle that does not see it proves nothing. */
const PLANTED: readonly {
  readonly sees: string
  readonly faults: Faults
  readonly steps: readonly Step[]
}[] = [
  { sees: 'every request is answered', faults: { grants: 1 }, steps: [ASK, NOW, ASK] },
  {
    sees: 'requests of 1',
    faults: { policy: { concurrency: 3 } },
    steps: [ASK, ASK, { do: 'advance', ms: 1_000 }],
  },
  { sees: 'answered once', faults: { answersTwice: true }, steps: [ASK, NOW, { do: 'release', nth: 0 }] },
  {
    sees: 'has 9 waiting',
    faults: { policy: { queueDepth: 20 } },
    steps: Array.from({ length: 10 }, () => ASK),
  },
  { sees: 'no timer is left', faults: { leavesTimer: true }, steps: [ASK] },
  { sees: 'no watcher is left', faults: { leavesWatcher: true }, steps: [ASK] },
  { sees: 'is served after healing', faults: { neverHeals: true }, steps: [{ do: 'cut', member: 0 }] },
  { sees: 'replicas follow the load', faults: { mostReplicas: 1 }, steps: [ASK] },
  { sees: 'what is idle sleeps', faults: { keepAwake: true }, steps: [ASK] },
  { sees: 'no healthy replica is restarted', faults: { resetsKill: true }, steps: [ASK] },
  { sees: 'dead, and was leased', faults: { pausesUnnoticed: true }, steps: STALLED },
  {
    sees: 'is stopped under 1 requests',
    faults: { sleepsByForce: true },
    steps: [ASK, NOW, { do: 'sleep', member: 2, app: 0 }],
  },
]

describe('the oracles see a planted fault', () => {
  test.each(PLANTED)('$sees', async ({ sees, faults, steps }) => {
    await expect(walk(steps, false, faults)).rejects.toThrow(sees)
    // Without the fault, the same steps pass.
    await walk(steps)
  })
})
