import { expect, test } from 'vitest'
import { keepRunning } from './keep-running.ts'

/** A process that the test ends, with a clock that moves only during delays. */
function bench() {
  const state = { time: 0, launches: 0, broken: 0, slept: [] as number[] }
  let end: (how: string) => void = () => undefined
  const up: (() => void)[] = []
  return {
    state,
    end: (how: string): void => end(how),
    /** Resolves at the next successful restart. */
    restarted: () => new Promise<void>((resolve) => up.push(resolve)),
    options: {
      launch: async () => {
        state.launches++
        if (state.broken-- > 0) throw new Error('no room on the disk')
        const ended = Promise.withResolvers<string>()
        end = ended.resolve
        return { ended: ended.promise, stop: async () => ended.resolve('told to') }
      },
      onRestart: () => up.splice(0).forEach((resolve) => resolve()),
      now: () => state.time,
      sleep: async (ms: number) => {
        state.slept.push(ms)
        state.time += ms
      },
    },
  }
}

test('a process is always restarted, each time after a longer delay, up to half a minute', async () => {
  const { options, state, end, restarted } = bench()
  const kept = await keepRunning(options)
  state.broken = 12
  const back = restarted()
  end('SIGKILL')
  await back
  expect(state.slept).toEqual([
    100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000, 30_000,
  ])
  await kept.stop()
})

test('a process that has run for a minute is restarted at once', async () => {
  const { options, state, end, restarted } = bench()
  const kept = await keepRunning(options)
  for (const [upFor, wait] of [
    [1_000, 100],
    [1_000, 200],
    [59_000, 400],
    [61_000, 100],
  ] as const) {
    const back = restarted()
    state.time += upFor
    end('SIGKILL')
    await back
    expect(state.slept.at(-1)).toBe(wait)
  }
  await kept.stop()
})

test('the problem is reported while the process is down, and why it cannot be started', async () => {
  const { options, state, end, restarted } = bench()
  const seen: unknown[] = []
  const kept = await keepRunning({ ...options, onEnd: (it) => seen.push([it.how, kept.problem(), it.error]) })
  expect(kept.problem()).toBeUndefined()
  state.broken = 1
  const back = restarted()
  end('SIGSEGV')
  await back
  expect(seen).toEqual([
    ['it ended (SIGSEGV)', 'it ended (SIGSEGV); it is being started again', undefined],
    [
      'it could not be started',
      expect.stringContaining('could not be started'),
      new Error('no room on the disk'),
    ],
  ])
  expect(kept.problem()).toBeUndefined()
  await kept.stop()
})

test('a stop during the delay before a restart prevents the restart', async () => {
  const { options, state, end } = bench()
  const waiting = Promise.withResolvers<void>()
  const kept = await keepRunning({
    ...options,
    sleep: (_, signal) => {
      waiting.resolve()
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      )
    },
  })
  end('SIGKILL')
  await waiting.promise
  await kept.stop()
  expect(state.launches).toBe(1)
})
