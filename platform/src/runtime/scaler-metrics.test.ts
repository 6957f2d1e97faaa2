import { createActivator, DEFAULT_POLICY, type Activator } from '@fp/scaler'
import { FakeClock, FakeDriver, settle } from '@fp/scaler/fake'
import { Registry } from 'prom-client'
import { beforeEach, expect, it } from 'vitest'
import { createMetricsObserver, measureTargets, type MetricsObserver } from './scaler-metrics.ts'

let registry: Registry
let driver: FakeDriver
let clock: FakeClock
let activator: Activator
let metrics: MetricsObserver

beforeEach(async () => {
  registry = new Registry()
  driver = new FakeDriver()
  clock = new FakeClock()
  activator = await createActivator({
    driver,
    clock,
    policy: () => ({ ...DEFAULT_POLICY, concurrency: 1, queueDepth: 2, readinessTimeout: 5_000 }),
    observer: (metrics = createMetricsObserver(registry)),
  })
  measureTargets(registry, activator)
})

/** The scraped samples whose name begins with this prefix. */
async function read(name: string): Promise<string[]> {
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith(name))
}

it('counts how wakes end, and apps that crash later', async () => {
  const ready = activator.acquire('ready.1.0')
  await clock.advance(40)
  driver.ready('ready.1.0')
  ;(await ready).release()
  driver.fail('ready.1.0', { code: 'FP_APP_CRASHED', message: 'killed' })

  metrics.crashed()

  const failed = activator.acquire('failed.1.0').catch((error: Error) => error)
  await settle()
  driver.fail('failed.1.0', { code: 'FP_APP_CRASHED', message: 'KeyError' })
  await failed
  const late = activator.acquire('late.1.0').catch((error: Error) => error)
  await clock.advance(5_000)
  await late

  expect(await read('fp_cold_starts_total')).toEqual([
    'fp_cold_starts_total{outcome="ready"} 1',
    'fp_cold_starts_total{outcome="failed"} 1',
    'fp_cold_starts_total{outcome="timeout"} 1',
  ])
  expect(await read('fp_app_crashes_total')).toEqual(['fp_app_crashes_total 2'])
  const durations = await read('fp_cold_start_duration_seconds')
  expect(durations).toContain('fp_cold_start_duration_seconds_bucket{le="0.025"} 0')
  expect(durations).toContain('fp_cold_start_duration_seconds_bucket{le="0.05"} 1')
  expect(durations).toContain('fp_cold_start_duration_seconds_count 1')
})

it('measures waiting and running requests when it is read, and how long they waited', async () => {
  const gauges = async (): Promise<string[]> => [
    ...(await read('fp_queue_depth')),
    ...(await read('fp_requests_in_flight')),
    ...(await read('fp_endpoints')),
    ...(await read('fp_replicas_wanted')),
    ...(await read('fp_targets')),
  ]
  const first = activator.acquire('app.1.0')
  const second = activator.acquire('app.1.0')
  await clock.advance(20)
  expect(await gauges()).toEqual([
    'fp_queue_depth 2',
    'fp_requests_in_flight 0',
    'fp_endpoints 0',
    'fp_replicas_wanted 1',
    'fp_targets{phase="asleep"} 0',
    'fp_targets{phase="waking"} 1',
    'fp_targets{phase="awake"} 0',
    'fp_targets{phase="draining"} 0',
  ])
  driver.ready('app.1.0')
  const lease = await first
  const third = activator.acquire('app.1.0')
  await settle()
  expect(await gauges()).toEqual([
    'fp_queue_depth 2',
    'fp_requests_in_flight 1',
    'fp_endpoints 1',
    'fp_replicas_wanted 1',
    'fp_targets{phase="asleep"} 0',
    'fp_targets{phase="waking"} 0',
    'fp_targets{phase="awake"} 1',
    'fp_targets{phase="draining"} 0',
  ])
  await expect(activator.acquire('app.1.0')).rejects.toMatchObject({ code: 'SCALER_QUEUE_FULL' })
  lease.release()
  ;(await second).release()
  ;(await third).release()

  expect(await read('fp_refusals_total')).toEqual(['fp_refusals_total{code="SCALER_QUEUE_FULL"} 1'])
  const waits = await read('fp_queue_wait_seconds')
  expect(waits).toContain('fp_queue_wait_seconds_count{cold="true"} 2')
  expect(waits).toContain('fp_queue_wait_seconds_sum{cold="true"} 0.04')
  expect(waits).toContain('fp_queue_wait_seconds_count{cold="false"} 1')
})
