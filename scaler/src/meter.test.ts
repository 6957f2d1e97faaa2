import { expect, test } from 'vitest'
import { FakeClock } from './drivers/fake/index.ts'
import { LoadMeter } from './meter.ts'

function meter(): { clock: FakeClock; meter: LoadMeter } {
  const clock = new FakeClock()
  return { clock, meter: new LoadMeter(clock, 60_000) }
}

test('is the number of requests as long as the number does not change', async () => {
  const { clock, meter: it } = meter()
  it.set(5)
  expect(it.average(6_000)).toBe(5)
  await clock.advance(500)
  expect(it.average(6_000)).toBe(5)
  await clock.advance(120_000)
  expect(it.average(60_000)).toBe(5)
  expect(it.average(6_000)).toBe(5)
})

test('is weighted by time', async () => {
  const { clock, meter: it } = meter()
  it.set(10)
  await clock.advance(2_000)
  it.set(0)
  await clock.advance(8_000)
  expect(it.average(60_000)).toBeCloseTo(2)
  expect(it.average(6_000)).toBe(0)
})

test('counts requests that are shorter than a bucket', async () => {
  const { clock, meter: it } = meter()
  for (let turn = 0; turn < 100; turn++) {
    it.set(2)
    await clock.advance(25)
    it.set(0)
    await clock.advance(75)
  }
  expect(it.average(6_000)).toBeCloseTo(0.5)
})

test('ignores what is older than the window, even part of a bucket', async () => {
  const { clock, meter: it } = meter()
  it.set(6)
  await clock.advance(10_000)
  it.set(0)
  await clock.advance(3_000)
  expect(it.average(6_000)).toBeCloseTo(3)
  await clock.advance(1_500)
  expect(it.average(6_000)).toBeCloseTo(1.5)
  await clock.advance(60_000)
  expect(it.average(60_000)).toBeCloseTo(0)
})

test('a long time without changes leaves nothing of earlier values', async () => {
  const { clock, meter: it } = meter()
  it.set(100)
  await clock.advance(60_000)
  it.set(1)
  await clock.advance(3_600_000)
  expect(it.average(60_000)).toBeCloseTo(1)
})

test('counts requests per second over each window', async () => {
  const { clock, meter: it } = meter()
  for (let second = 0; second < 10; second++) {
    for (let request = 0; request < 20; request++) it.arrived()
    await clock.advance(1_000)
  }
  expect(it.average(5_000)).toBeCloseTo(20)
  await clock.advance(10_000)
  expect(it.average(20_000)).toBeCloseTo(10)
  expect(it.average(5_000)).toBe(0)
})
