import { expect, test } from 'vitest'
import { PATIENCE, useInstallation } from './world.ts'

const world = useInstallation()

const WAKES = 50
/** The apps wake one after the other, then sleep together: waiting for the end of their pods takes most of the time. */
const APPS = 5

const APP = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> dict[str, bool]:
    return {"awake": True}
`

/** One wake, in ms: the client's waiting time, and the duration of each step in the answer's Server-Timing. */
interface Wake {
  readonly total: number
  readonly phases: ReadonlyMap<string, number>
}

const at = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!

function report(name: string, wakes: readonly Wake[]): string {
  const line = (label: string, values: readonly number[]): string => {
    const sorted = [...values].sort((a, b) => a - b)
    const [p50, p95, max] = [at(sorted, 0.5), at(sorted, 0.95), sorted.at(-1)!]
    return `  ${label.padEnd(14)} p50 ${p50.toFixed(1).padStart(7)}   p95 ${p95.toFixed(1).padStart(7)}   max ${max.toFixed(1).padStart(7)}`
  }
  const names = [...new Set(wakes.flatMap(({ phases }) => [...phases.keys()]))]
  return [
    `${wakes.length} wakes through the front door, ${name} (ms)`,
    line(
      'whole request',
      wakes.map(({ total }) => total),
    ),
    ...names.map((phase) =>
      line(
        phase,
        wakes.map(({ phases }) => phases.get(phase) ?? 0),
      ),
    ),
  ].join('\n')
}

function phasesOf(timing: string): Map<string, number> {
  const metrics = timing.split(',').map((metric) => /^\s*([\w-]+);dur=([\d.]+)/.exec(metric)!)
  return new Map(metrics.map(([, name, ms]) => [name!, Number(ms)]))
}

async function wakes(before: () => Promise<void>): Promise<Wake[]> {
  const apps: string[] = []
  for (let app = 0; app < APPS; app++) apps.push((await world.user.liveApp({ code: APP })).app_id)
  const all: Wake[] = []
  while (all.length < WAKES) {
    await Promise.all(apps.map((app) => world.asleep(app)))
    for (const app of apps) await expect.poll(() => world.podsOf(app), PATIENCE).toHaveLength(0)
    for (const app of apps) {
      await before()
      const answer = await world.user.call(app, '/')
      expect(answer.status).toBe(200)
      all.push({ total: answer.took, phases: phasesOf(answer.headers['server-timing'] as string) })
    }
  }
  return all
}

const poolSize = async (size: number): Promise<void> => {
  await world.fp.kubectl('-n', 'fp-system', 'set', 'env', 'deployment/fp-platform', `FP_POOL_SIZE=${size}`)
  await world.fp.kubectl('-n', 'fp-system', 'rollout', 'status', 'deployment/fp-platform', '--timeout=240s')
}
const waiting = async (): Promise<number> =>
  (await world.fp.kubectl('-n', 'fp-apps', 'get', 'pods', '-l', 'fp.dev/role=pool', '--no-headers'))
    .split('\n')
    .filter((line) => line.includes('1/1')).length

test('wakes from the warm pool', { timeout: 900_000 }, async () => {
  // As when apps wake now and then: the pool is full again before each wake.
  const all = await wakes(async () => {
    await expect.poll(waiting, PATIENCE).toBe(3)
  })
  console.log(report('warm pool', all))
  expect(all.every(({ phases }) => phases.has('claimed'))).toBe(true)
})

test('wakes by the Deployment alone', { timeout: 900_000 }, async () => {
  await poolSize(0)
  try {
    await expect.poll(waiting, PATIENCE).toBe(0)
    const all = await wakes(async () => undefined)
    console.log(report('Deployment', all))
    expect(all.every(({ phases }) => phases.has('interpreter'))).toBe(true)
  } finally {
    await poolSize(3)
  }
})
