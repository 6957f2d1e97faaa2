import { expect, test } from 'vitest'
import type { Driver, TargetState } from '../types.ts'
import { News } from './news.ts'
import { describeDriverContract, type DriverUnderTest } from './driver.ts'

/** A driver that accepts each scale call, and then reports what is given. */
function driverThatSays(...states: TargetState[]): Driver {
  return {
    name: 'silent',
    scale: () => Promise.resolve(),
    watch(onChange) {
      for (const state of states) onChange('app', state)
      return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() })
    },
  }
}

test.each([
  ['nothing', [], 'It has reported nothing of this target.'],
  ['an endpoint', [{ ready: [{ id: 'a', url: new URL('http://127.0.0.1') }] }], 'Its last report: a ready.'],
  [
    'a failure',
    [{ ready: [], failure: { code: 'X', message: 'broken' } }],
    'Its last report: no endpoint ready, and the failure X: broken.',
  ],
])(
  'a wait for a report that does not come names the step, and says that the driver reported %s',
  async (_, states, seen) => {
    const news = await News.of(driverThatSays(...states), 1)
    await expect(news.until('app', () => false, '3 ready endpoints')).rejects.toThrow(
      `The contract waited 0.001 s for this step: the driver reports 3 ready endpoints of the target app. ${seen}`,
    )
  },
)

test('a test of the contract fails when the driver does not settle a call, instead of waiting for ever', async () => {
  const tests = new Map<string, () => Promise<void>>()
  const starts: (() => Promise<void>)[] = []
  const it = (name: string, run: () => Promise<void>): unknown => tests.set(name, run)
  const driver = { ...driverThatSays(), scale: () => new Promise<void>(() => undefined) }
  const start = (): Promise<DriverUnderTest> =>
    Promise.resolve({ driver, target: () => 'app' } as unknown as DriverUnderTest)
  describeDriverContract(
    'stuck',
    { start, maxReplicas: 1, stepTimeout: 1 },
    {
      describe: (_name, define) => define(),
      it: Object.assign(it, { skip: it }),
      before: (run) => starts.push(run),
      after: () => undefined,
    },
  )
  await starts[0]!()
  await expect(tests.get('without having been scaled up has no error')!()).rejects.toThrow(
    "this step: driver.scale('app', 0) resolves.",
  )
})
