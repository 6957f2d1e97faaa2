import { expect, test } from 'vitest'
import { MINUTE, rig } from '../test/harness.ts'
import { settle } from './drivers/fake/index.ts'

const never = (): Promise<void> => new Promise(() => undefined)

test('scale-downs that never settle do not block those of other targets, and their signals abort', async () => {
  const { wake, driver, activator, clock, scaled } = await rig({ idleTimeout: MINUTE })
  const stuck = Array.from({ length: 8 }, (_, n) => `stuck-${n}`)
  for (const key of [...stuck, 'other']) (await wake(key)).release()
  const signals = new Map<string, AbortSignal>()
  driver.onScale = ({ key }, signal) => {
    signals.set(key, signal)
    return key.startsWith('stuck') ? never() : undefined
  }
  for (const key of stuck) void activator.sleep(key)
  const slept = activator.sleep('other')
  await clock.advance(29_999)
  expect(scaled()).not.toContain('other 0')
  await clock.advance(1)
  expect(await slept).toBe(true)
  expect([...signals].map(([key, { aborted }]) => [key, aborted])).toEqual([
    ...stuck.map((key) => [key, true]),
    ['other', false],
  ])
  expect(clock.pending).toBe(0)
})

test('the signal of a scale call aborts when its wake times out', async () => {
  const { ask, driver, clock } = await rig({ readinessTimeout: MINUTE })
  const signals: AbortSignal[] = []
  driver.onScale = (_call, signal) => (signals.push(signal), never())
  const asked = ask('app')
  await clock.advance(MINUTE - 1)
  expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  await clock.advance(1)
  expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
  expect(signals[0]?.reason).toBe(asked.error)
})

test('the signal of a scale call aborts when its wake fails, and never when its wake succeeds', async () => {
  const { ask, wake, driver } = await rig({})
  const signals = new Map<string, AbortSignal>()
  driver.onScale = ({ key, replicas }, signal) => {
    signals.set(`${key} ${replicas}`, signal)
    return key === 'ill' ? never() : undefined
  }
  await wake('well')
  ask('ill')
  await settle()
  driver.fail('ill', { code: 'IMPORT_ERROR', message: 'No module named flask' })
  await settle()
  expect([signals.get('well 1')?.aborted, signals.get('ill 1')?.aborted]).toEqual([false, true])
})

test('a scale call that rejects after its wake has timed out changes nothing', async () => {
  const { ask, driver, clock, activator, scaled } = await rig({ readinessTimeout: MINUTE })
  const rejections: ((error: Error) => void)[] = []
  driver.onScale = ({ replicas }) =>
    replicas === 0 ? undefined : new Promise((_, reject) => rejections.push(reject))
  ask('app')
  await clock.advance(MINUTE)
  rejections[0]!(new Error('too late'))
  await clock.advance(1_000)
  expect(scaled()).toEqual(['app 1', 'app 0'])
  driver.onScale = undefined
  const next = ask('app')
  await settle()
  driver.ready('app')
  ;(await next.promise).release()
  expect(activator.stats('app')?.phase).toBe('awake')
})
