import { expect, test } from 'vitest'
import { Alarm } from './alarm.ts'
import { systemClock, type Clock } from './clock.ts'

test('a timer whose time is over fires at once, without the warning of Node about negative times', async () => {
  const delays: number[] = []
  const clock: Clock = {
    ...systemClock,
    schedule(ms, fn) {
      delays.push(ms)
      return systemClock.schedule(ms, fn)
    },
  }
  await new Promise<void>((resolve) => new Alarm(clock).set(-5, resolve))
  expect(delays).toEqual([0])
})
