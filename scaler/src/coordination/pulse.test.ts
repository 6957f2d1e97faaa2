import { expect, test } from 'vitest'
import { FakeClock, ProcessClock } from '../drivers/fake/index.ts'
import { Pulse } from './pulse.ts'

/** A process whose time of day can be changed. */
class Machine extends ProcessClock {
  wallOffset = 0

  override wall(): number {
    return super.wall() + this.wallOffset
  }
}

function pulseOf() {
  const time = new FakeClock()
  const machine = new Machine(time)
  let pauses = 0
  const pulse = new Pulse(machine, () => pauses++)
  return { time, machine, pulse, pauses: () => pauses }
}

test('a process that runs has no pause', async () => {
  const { time, pulse, pauses } = pulseOf()
  for (let second = 0; second < 60; second++) {
    await time.advance(1_000)
    pulse.check()
  }
  expect(pauses()).toBe(0)
})

test('a process that was stopped for six seconds had a pause, which counts once', async () => {
  const { time, machine, pulse, pauses } = pulseOf()
  machine.stop()
  await time.advance(5_999)
  pulse.check()
  expect(pauses()).toBe(0)
  await time.advance(1)
  pulse.check()
  pulse.check()
  expect(pauses()).toBe(1)
  machine.continue()
  await time.advance(60_000)
  expect(pauses()).toBe(1)
})

test('a pause is noticed by the first timer if no request comes before', async () => {
  const { time, machine, pauses } = pulseOf()
  machine.stop()
  await time.advance(6_000)
  machine.continue()
  expect(pauses()).toBe(1)
})

test('a machine that was suspended had a pause, although its monotonic clock was stopped too', async () => {
  const { time, machine, pulse, pauses } = pulseOf()
  await time.advance(60_000)
  machine.wallOffset = 6_000
  pulse.check()
  expect(pauses()).toBe(1)
})

test('a pause is noticed although somebody has set the time of day back', async () => {
  const { time, machine, pauses } = pulseOf()
  machine.stop()
  await time.advance(6_000)
  machine.wallOffset = -60_000
  machine.continue()
  expect(pauses()).toBe(1)
})

test('a timer that is a little late is no pause, even if somebody has set the time of day back', async () => {
  const { time, machine, pauses } = pulseOf()
  machine.stop()
  await time.advance(5_999)
  machine.wallOffset = -60_000
  machine.continue()
  expect(pauses()).toBe(0)
})

test('timers are overdue when one pulse has not come for the time of another', async () => {
  const { time, machine, pulse } = pulseOf()
  machine.stop()
  await time.advance(3_999)
  expect(pulse.isOverdue).toBe(false)
  await time.advance(1)
  expect(pulse.isOverdue).toBe(true)
  machine.continue()
  expect(pulse.isOverdue).toBe(false)
})

test('a stopped pulse leaves no timer', () => {
  const { time, pulse } = pulseOf()
  expect(time.pending).toBe(1)
  pulse.stop()
  expect(time.pending).toBe(0)
})
