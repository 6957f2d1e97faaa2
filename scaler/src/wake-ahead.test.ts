import { expect, test } from 'vitest'
import { MINUTE, rig } from '../test/harness.ts'
import { settle } from './drivers/fake/index.ts'

test('wake starts a target without a request, waits for nothing when it is awake, and lets it become idle', async () => {
  const { activator, driver, clock, scaled } = await rig({ concurrency: 1, idleTimeout: MINUTE })
  const woken = activator.wake('app')
  await settle()
  expect(scaled()).toEqual(['app 1'])
  driver.ready('app')
  await woken
  const lease = activator.tryAcquire('app')!
  await activator.wake('app')
  lease.release()
  await clock.advance(MINUTE)
  expect(scaled()).toEqual(['app 1', 'app 0'])
})

test('wake rejects with the reason why the target cannot start, and when its signal aborts', async () => {
  const { activator, driver } = await rig()
  const woken = activator.wake('app').catch((error: unknown) => error)
  const abort = new AbortController()
  const aborted = activator.wake('app', { signal: abort.signal }).catch((error: unknown) => error)
  abort.abort(new Error('not needed'))
  await settle()
  driver.fail('app', { code: 'IMPORT_ERROR', message: 'No module named x' })
  expect(await woken).toMatchObject({ code: 'SCALER_TARGET_FAILED' })
  expect(await aborted).toEqual(new Error('not needed'))
})

test('wake rejects when the activator is closed', async () => {
  const { activator } = await rig()
  await activator.close()
  await expect(activator.wake('app')).rejects.toMatchObject({ code: 'SCALER_CLOSED' })
})
