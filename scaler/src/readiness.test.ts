import { expect, test } from 'vitest'
import { FakeClock, settle } from './drivers/fake/index.ts'
import { PROBE_INTERVAL, untilReady } from './readiness.ts'

function probing(answers: readonly (boolean | Error)[]) {
  const clock = new FakeClock()
  const abort = new AbortController()
  const at: number[] = []
  const probe = (): Promise<boolean> => {
    const answer = answers[at.push(clock.now()) - 1] ?? false
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  }
  const state = { outcome: 'waits' as unknown }
  untilReady(probe, { signal: abort.signal, clock }).then(
    () => (state.outcome = 'ready'),
    (error: unknown) => (state.outcome = error),
  )
  return { clock, abort, at, state }
}

test('rule 14: probes every 20–50 ms until the endpoint itself answers', async () => {
  expect(PROBE_INTERVAL).toBeGreaterThanOrEqual(20)
  expect(PROBE_INTERVAL).toBeLessThanOrEqual(50)
  const { clock, at, state } = probing([false, new Error('ECONNREFUSED'), false, true])
  await clock.advance(2 * PROBE_INTERVAL)
  expect(state.outcome).toBe('waits')
  await clock.advance(PROBE_INTERVAL)
  expect(state.outcome).toBe('ready')
  expect(at).toEqual([0, 1, 2, 3].map((turn) => turn * PROBE_INTERVAL))
  expect(clock.pending).toBe(0)
})

test('the first probe is sent immediately', async () => {
  const { clock, state } = probing([true])
  await settle()
  expect(state.outcome).toBe('ready')
  expect(clock.now()).toBe(0)
})

test('an abort between two probes rejects with its reason and leaves no timer', async () => {
  const { clock, abort, at, state } = probing([])
  await clock.advance(PROBE_INTERVAL)
  abort.abort(new Error('budget'))
  await settle()
  expect(state.outcome).toEqual(new Error('budget'))
  expect(clock.pending).toBe(0)
  expect(at).toHaveLength(2)
})

test('an abort during a probe has priority over the result of the probe', async () => {
  const abort = new AbortController()
  const probe = (): Promise<boolean> => {
    abort.abort(new Error('budget'))
    return Promise.resolve(true)
  }
  await expect(untilReady(probe, { signal: abort.signal, clock: new FakeClock() })).rejects.toThrow('budget')
})

test('with an aborted signal, no probe is sent', async () => {
  let probes = 0
  const probe = (): Promise<boolean> => Promise.resolve(++probes > 0)
  await expect(untilReady(probe, { signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow('late')
  expect(probes).toBe(0)
})
