import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from './activator.ts'
import { Autoscaler, targetLoad, type Observation } from './autoscaler.ts'
import type { ScalingPolicy, TargetPolicy } from './types.ts'

/** One replica for each ten requests. */
function policy(scaling: Partial<ScalingPolicy> = {}): TargetPolicy {
  return {
    ...DEFAULT_POLICY,
    concurrency: 10,
    maxReplicas: 100,
    scaling: { targetUtilization: 1, ...scaling },
  }
}

const at = (second: number, ready: number, stable: number, panic = stable): Observation => ({
  now: second * 1_000,
  ready,
  stable,
  panic,
})

describe('the goal', () => {
  test('is the concurrency of the target times its utilization, or 100 times that if concurrency is unlimited', () => {
    expect(targetLoad({ ...DEFAULT_POLICY, concurrency: 10 })).toBe(7)
    expect(targetLoad({ ...DEFAULT_POLICY, concurrency: 0 })).toBe(70)
    expect(targetLoad(policy({ targetConcurrency: 4, targetUtilization: 0.5 }))).toBe(2)
    expect(targetLoad(policy({ targetRate: 50, targetUtilization: 0.5 }))).toBe(25)
  })
})

describe('the stable window', () => {
  test.each([
    [1, 1],
    [10, 1],
    [10.1, 2],
    [95, 10],
  ])('of %d requests wants %d replicas', (load, replicas) => {
    expect(new Autoscaler().decide(at(0, 9, load), policy({ maxScaleDownRate: 100 }))).toBe(replicas)
  })

  test('never scales down by more than the scale-down rate in one decision', () => {
    expect(new Autoscaler().decide(at(0, 10, 0), policy())).toBe(5)
    expect(new Autoscaler().decide(at(0, 10, 0), policy({ maxScaleDownRate: 5 }))).toBe(2)
  })

  test('never scales up by more than the scale-up rate in one decision', () => {
    expect(new Autoscaler().decide(at(0, 2, 500), policy({ maxScaleUpRate: 3 }))).toBe(6)
    expect(new Autoscaler().decide(at(0, 0, 500), policy({ maxScaleUpRate: 3 }))).toBe(3)
  })
})

describe('panic', () => {
  test('begins when the panic window wants twice the ready replicas; then the panic window decides', () => {
    const scaler = new Autoscaler()
    expect(scaler.decide(at(0, 2, 20, 39), policy())).toBe(4)
    expect(new Autoscaler().decide(at(0, 3, 30, 50), policy())).toBe(3)
  })

  test('never reduces the replicas until one stable window has passed without a burst', () => {
    const scaler = new Autoscaler()
    expect(scaler.decide(at(0, 1, 1, 80), policy())).toBe(8)
    expect(scaler.decide(at(30, 8, 10, 10), policy())).toBe(8)
    expect(scaler.decide(at(60, 8, 10, 10), policy())).toBe(8)
    expect(scaler.decide(at(61, 8, 10, 10), policy())).toBe(4)
  })

  test('lasts as long as bursts continue', () => {
    const scaler = new Autoscaler()
    scaler.decide(at(0, 1, 1, 80), policy())
    expect(scaler.decide(at(50, 2, 10, 80), policy())).toBe(8)
    expect(scaler.decide(at(100, 8, 10, 10), policy())).toBe(8)
    expect(scaler.decide(at(111, 8, 10, 10), policy())).toBe(4)
  })
})

describe('the scale-down delay', () => {
  test('uses the greatest decision of the delay', () => {
    const scaler = new Autoscaler()
    const delayed = policy({ scaleDownDelay: 30_000, maxScaleDownRate: 100 })
    expect(scaler.decide(at(0, 5, 50), delayed)).toBe(5)
    expect(scaler.decide(at(10, 5, 20), delayed)).toBe(5)
    expect(scaler.decide(at(29, 5, 20), delayed)).toBe(5)
    expect(scaler.decide(at(30, 5, 20), delayed)).toBe(2)
  })

  test('counts from each decision', () => {
    const scaler = new Autoscaler()
    const delayed = policy({ scaleDownDelay: 30_000, maxScaleDownRate: 100 })
    expect(scaler.decide(at(40, 5, 50), delayed)).toBe(5)
    expect(scaler.decide(at(69, 5, 20), delayed)).toBe(5)
    expect(scaler.decide(at(70, 5, 20), delayed)).toBe(2)
  })

  test('does not delay a scale-up', () => {
    const scaler = new Autoscaler()
    const delayed = policy({ scaleDownDelay: 30_000 })
    scaler.decide(at(0, 5, 20), delayed)
    expect(scaler.decide(at(1, 5, 80), delayed)).toBe(8)
  })
})
