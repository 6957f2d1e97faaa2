import { describe, expect, test } from 'vitest'
import { gate, MINUTE, rig } from '../test/harness.ts'
import { FakeDriver, settle } from './drivers/fake/index.ts'

const failure = { code: 'IMPORT_ERROR', message: 'No module named flask' }

describe('a failed wake', () => {
  test('makes requests fail with the same failure for 1 s; after that a request starts a new wake', async () => {
    const { ask, driver, clock, scaled, activator } = await rig()
    ask('app')
    await settle()
    driver.fail('app', failure)
    await clock.advance(999)
    const soon = ask('app')
    await settle()
    expect(soon.error).toMatchObject({ code: 'SCALER_TARGET_FAILED', failure })
    expect(activator.stats('app')).toMatchObject({ phase: 'asleep', failure })
    expect(scaled()).toEqual(['app 1', 'app 0'])

    await clock.advance(1)
    const later = ask('app')
    await settle()
    expect(activator.stats('app')?.failure).toBeUndefined()
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
    driver.ready('app')
    await later.promise
  })

  test('that timed out is not repeated within the back-off either', async () => {
    const { ask, clock, scaled } = await rig({ readinessTimeout: MINUTE })
    ask('app')
    await clock.advance(MINUTE)
    const soon = ask('app')
    await settle()
    expect(soon.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('has no effect any more when the driver reports an endpoint after all', async () => {
    const { ask, driver, activator } = await rig()
    ask('app')
    await settle()
    driver.fail('app', failure)
    await settle()
    driver.ready('app')
    expect(activator.stats('app')).toMatchObject({ phase: 'awake', endpoints: 1 })
    expect(activator.stats('app')?.failure).toBeUndefined()
    await ask('app').promise
  })

  test('does not end a later wake: its timer and its scale call belong to its own generation', async () => {
    const { ask, driver, clock } = await rig({ readinessTimeout: MINUTE })
    const first = ask('app')
    await clock.advance(30_000)
    driver.fail('app', failure)
    await clock.advance(1_000)
    expect(first.error).toBeDefined()
    const second = ask('app')
    await clock.advance(MINUTE - 1)
    expect(second.settled).toBe(0)
    driver.ready('app')
    await second.promise
  })

  test('of 1,000 unknown targets leaves no target and no timer when its back-off has ended', async () => {
    const { ask, driver, clock, activator } = await rig()
    driver.onScale = ({ key, replicas }) => {
      if (replicas > 0) driver.fail(key, failure)
    }
    for (let n = 0; n < 1_000; n++) ask(`unknown-${n}`)
    await clock.advance(0)
    expect([...activator.targets()].length).toBeGreaterThan(0)
    await clock.advance(2_000)
    expect([...activator.targets()]).toEqual([])
    expect(clock.pending).toBe(0)
  })
})

test('after a failed wake, a scale-down that the driver refuses is retried until it succeeds', async () => {
  const { ask, driver, clock, scaled, told, activator } = await rig()
  let refusals = 2
  driver.onScale = ({ replicas }) =>
    replicas === 0 && refusals-- > 0 ? Promise.reject(new Error('API server not available')) : undefined
  ask('app')
  await settle()
  driver.fail('app', failure)
  await clock.advance(10_000)
  expect(scaled()).toEqual(['app 1', 'app 0', 'app 0', 'app 0'])
  expect(told.filter((line) => line.startsWith('error'))).toHaveLength(2)
  expect(clock.pending).toBe(0)
  expect(activator.stats('app')).toBeUndefined()
})

describe('a crash of an awake target', () => {
  test('starts a new wake for waiting requests', async () => {
    const { ask, wake, driver, scaled } = await rig({ concurrency: 1 })
    const lease = await wake('app')
    const asked = ask('app')
    driver.crash('app')
    await settle()
    expect(asked.settled).toBe(0)
    expect(scaled()).toEqual(['app 1', 'app 1'])
    lease.release()
    const [fresh] = driver.ready('app')
    expect((await asked.promise).endpoint.id).toBe(fresh?.id)
  })

  test('is reported, but the next request wakes the target immediately', async () => {
    const { ask, wake, driver, scaled, told } = await rig()
    ;(await wake('app')).release()
    driver.fail('app', { code: 'OOM', message: 'Killed' })
    const asked = ask('app')
    await settle()
    expect(asked.settled).toBe(0)
    expect(scaled()).toEqual(['app 1', 'app 1'])
    expect(told).toEqual(['waking app', 'awake app', 'failed app OOM', 'waking app'])
  })

  test('with held leases drops the target when the last lease is released', async () => {
    const { wake, ask, driver, activator, clock } = await rig()
    const first = await wake('app')
    const second = await ask('app').promise
    driver.crash('app')
    first.release()
    expect(activator.stats('app')).toMatchObject({ phase: 'asleep', inFlight: 1 })
    second.release()
    expect(activator.stats('app')).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  test('before its scale call was accepted does not make the scale calls of the target overlap', async () => {
    const { wake, ask, driver, scaled } = await rig()
    const accepted = gate()
    driver.onScale = () => accepted.passed
    ;(await wake('app')).release()
    driver.crash('app')
    const asked = ask('app')
    await settle()
    expect(scaled()).toEqual(['app 1'])
    accepted.open()
    await settle()
    expect(scaled()).toEqual(['app 1', 'app 1'])
    driver.ready('app')
    await asked.promise
  })

  test('of one endpoint of two does not affect the other', async () => {
    const { wake, ask, driver, activator, scaled } = await rig({ concurrency: 1 })
    const first = await wake('app', 2)
    const second = await ask('app').promise
    const asked = ask('app')
    driver.emit('app', { ready: [second.endpoint] })
    first.release()
    await settle()
    // The endpoint is gone, and so is its place.
    expect(asked.settled).toBe(0)
    second.release()
    expect((await asked.promise).endpoint.id).toBe(second.endpoint.id)
    expect(activator.stats('app')).toMatchObject({ endpoints: 1, inFlight: 1 })
    expect(scaled()).toEqual(['app 1'])
  })
})

describe('memory', () => {
  test('a target that is asleep is dropped, after its idle time or after sleep()', async () => {
    const { wake, activator, clock, told } = await rig({ idleTimeout: MINUTE })
    ;(await wake('idle')).release()
    await clock.advance(MINUTE)
    expect(activator.stats('idle')).toBeUndefined()
    ;(await wake('told')).release()
    await activator.sleep('told')
    expect(activator.stats('told')).toBeUndefined()
    expect(clock.pending).toBe(0)
    expect(told.filter((line) => line.startsWith('asleep'))).toEqual(['asleep idle', 'asleep told'])
  })

  test('a target whose endpoints are still reported is not dropped until they are gone', async () => {
    const { wake, driver, activator } = await rig()
    ;(await wake('app')).release()
    driver.lingers = true
    await activator.sleep('app')
    expect(activator.stats('app')).toMatchObject({ phase: 'asleep', endpoints: 0 })
    driver.crash('app')
    expect(activator.stats('app')).toBeUndefined()
  })

  test('a report on a target without endpoints and without requests is not stored', async () => {
    const { driver, activator } = await rig()
    driver.fail('app', failure)
    driver.crash('other')
    expect(activator.stats('app')).toBeUndefined()
    expect(activator.stats('other')).toBeUndefined()
  })
})

describe('stats', () => {
  test('reflect the state of a target', async () => {
    const { ask, driver, activator } = await rig({ concurrency: 1 })
    expect(activator.stats('app')).toBeUndefined()
    const first = ask('app')
    ask('app')
    expect(activator.stats('app')).toEqual({
      phase: 'waking',
      inFlight: 0,
      queued: 2,
      endpoints: 0,
      replicas: 1,
      generation: 1,
      phases: [],
    })
    driver.ready('app', 1, [{ name: 'spawned', at: 5 }])
    const lease = await first.promise
    expect(activator.stats('app')).toEqual({
      phase: 'awake',
      inFlight: 1,
      queued: 1,
      endpoints: 1,
      replicas: 1,
      generation: 1,
      phases: [{ name: 'spawned', at: 5 }],
    })
    lease.release()
    await settle()
    expect(activator.stats('app')).toMatchObject({ inFlight: 1, queued: 0 })
  })
})

describe('retire', () => {
  test('during a wake ends the scale call of the wake, also one that only its signal ends', async () => {
    const { activator, driver, clock, ask } = await rig()
    driver.onScale = ({ replicas }, signal) =>
      replicas === 0
        ? undefined
        : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    ask('app')
    await settle()
    const retired = activator.retire('app')
    await clock.advance(1_000)
    await retired
    expect(activator.stats('app')).toBeUndefined()
  })

  test('is refused after close(), and leaves no target', async () => {
    const { activator } = await rig()
    await activator.close()
    await expect(activator.retire('app')).rejects.toMatchObject({ code: 'SCALER_CLOSED' })
    expect([...activator.targets()]).toEqual([])
  })

  test('refuses waiting and new requests, waits for leases, then scales to zero and drops the target', async () => {
    const { wake, ask, activator, scaled, clock, told } = await rig({ concurrency: 1 })
    const lease = await wake('app')
    const waits = ask('app')
    const retired = activator.retire('app')
    const comes = ask('app')
    await clock.advance(10 * MINUTE)
    expect(waits.error).toMatchObject({ code: 'SCALER_RETIRED', statusCode: 503 })
    expect(comes.error).toMatchObject({ code: 'SCALER_RETIRED' })
    expect(scaled()).toEqual(['app 1'])
    lease.release()
    await retired
    expect(scaled()).toEqual(['app 1', 'app 0'])
    expect(activator.stats('app')).toBeUndefined()
    expect(told.at(-1)).toBe('asleep app')
    expect(clock.pending).toBe(0)
  })

  test('waits for a lease that was granted in the same turn', async () => {
    const { ask, driver, activator, scaled } = await rig()
    const asked = ask('app')
    await settle()
    driver.ready('app')
    const retired = activator.retire('app')
    const lease = await asked.promise
    await settle()
    expect(scaled()).toEqual(['app 1'])
    lease.release()
    await retired
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('waits no longer than its signal', async () => {
    const { wake, ask, activator, scaled, driver } = await rig()
    const lease = await wake('app')
    const deadline = new AbortController()
    const retired = activator.retire('app', { signal: deadline.signal })
    await settle()
    expect(scaled()).toEqual(['app 1'])
    deadline.abort()
    await retired
    expect(scaled()).toEqual(['app 1', 'app 0'])

    // The lease that is still held has no effect on the new target with the same key.
    const next = ask('app')
    await settle()
    driver.ready('app')
    await next.promise
    lease.release()
    await settle()
    expect(activator.stats('app')).toMatchObject({ phase: 'awake', inFlight: 1 })
  })

  test('ends a wake', async () => {
    const { ask, activator, scaled, clock } = await rig()
    const asked = ask('app')
    await settle()
    await activator.retire('app')
    expect(asked.error).toMatchObject({ code: 'SCALER_RETIRED' })
    expect(scaled()).toEqual(['app 1', 'app 0'])
    expect(clock.pending).toBe(0)
  })

  test('of a sleeping target scales nothing and leaves no state', async () => {
    const { activator, scaled } = await rig()
    await activator.retire('app')
    expect(scaled()).toEqual([])
    expect(activator.stats('app')).toBeUndefined()
  })

  test('twice, and while the target drains, resolves when the target is scaled down', async () => {
    const { wake, driver, activator, ask } = await rig()
    ;(await wake('app')).release()
    const accepted = gate()
    driver.onScale = () => accepted.passed
    const slept = activator.sleep('app')
    const retired = Promise.all([activator.retire('app'), activator.retire('app')])
    const asked = ask('app')
    accepted.open()
    await Promise.all([slept, retired])
    expect(asked.error).toMatchObject({ code: 'SCALER_RETIRED' })
    expect(activator.stats('app')).toBeUndefined()
  })

  test('that the driver refuses rejects, and can be repeated', async () => {
    const { wake, driver, activator, scaled, clock } = await rig({ idleTimeout: MINUTE })
    ;(await wake('app')).release()
    driver.lingers = true
    driver.onScale = () => Promise.reject(new Error('API server not available'))
    await expect(activator.retire('app')).rejects.toThrow('API server not available')
    driver.onScale = undefined
    driver.lingers = false
    await activator.retire('app')
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 0'])
    expect(activator.stats('app')).toBeUndefined()
    expect(clock.pending).toBe(0)
  })

  test('does not wake a target that crashes while leases are still held', async () => {
    const { wake, driver, activator, scaled } = await rig({ concurrency: 1 })
    const lease = await wake('app')
    const retired = activator.retire('app')
    driver.crash('app')
    lease.release()
    await retired
    expect(scaled()).toEqual(['app 1'])
    expect(activator.stats('app')).toBeUndefined()
  })
})

describe('close', () => {
  test('refuses new and waiting requests, waits for the leases, and never scales down', async () => {
    const { wake, ask, activator, scaled, driver, clock } = await rig({ concurrency: 1, idleTimeout: MINUTE })
    const lease = await wake('app')
    const waits = ask('app')
    ask('waking')
    ;(await wake('idle')).release()
    await settle()
    let closed = false
    const closing = activator.close().then(() => (closed = true))
    const comes = ask('app')
    const fresh = ask('other')
    await clock.advance(10 * MINUTE)
    expect(waits.error).toMatchObject({ code: 'SCALER_CLOSED', statusCode: 503 })
    expect(comes.error).toMatchObject({ code: 'SCALER_CLOSED' })
    expect(fresh.error).toMatchObject({ code: 'SCALER_CLOSED' })
    expect(closed).toBe(false)
    lease.release()
    await closing
    await clock.advance(10 * MINUTE)
    expect(scaled().filter((call) => call.endsWith(' 0'))).toEqual([])
    expect(clock.pending).toBe(0)
    expect(driver.watchers).toBe(0)
  })

  test('waits for a lease that was granted in the same turn', async () => {
    const { ask, driver, activator } = await rig()
    const asked = ask('app')
    await settle()
    driver.ready('app')
    let closed = false
    const closing = activator.close().then(() => (closed = true))
    const lease = await asked.promise
    await settle()
    expect(closed).toBe(false)
    lease.release()
    await closing
  })

  test('waits no longer than its signal', async () => {
    const { wake, activator, clock, driver, scaled } = await rig({ idleTimeout: MINUTE })
    const lease = await wake('app')
    await activator.close({ signal: AbortSignal.abort() })
    lease.release()
    await clock.advance(10 * MINUTE)
    expect(scaled()).toEqual(['app 1'])
    expect(clock.pending).toBe(0)
    expect(driver.watchers).toBe(0)
  })

  test('aborts a scale call that hangs, without reporting a failure of the target', async () => {
    class HangingDriver extends FakeDriver {
      override async scale(...[key, replicas, options]: Parameters<FakeDriver['scale']>): Promise<void> {
        await super.scale(key, replicas, options)
        await new Promise((_, reject) => {
          options.signal.addEventListener('abort', () => reject(options.signal.reason as Error))
        })
      }
    }
    const { ask, activator, told, clock, scaled } = await rig({}, { driver: new HangingDriver() })
    ask('app')
    await settle()
    await activator.close()
    await settle()
    expect(told).toEqual(['waking app'])
    expect(scaled()).toEqual(['app 1'])
    expect(clock.pending).toBe(0)
  })

  test('does not begin queued scale-downs while it waits for a lease', async () => {
    const { wake, activator, driver, clock, scaled } = await rig({ idleTimeout: MINUTE })
    for (let index = 0; index < 12; index++) (await wake(`app${index}`)).release()
    const lease = await wake('busy')
    const accepted = gate()
    driver.onScale = () => accepted.passed
    await clock.advance(MINUTE)
    const before = scaled()
    const closing = activator.close()
    accepted.open()
    await settle()
    lease.release()
    await closing
    expect(scaled()).toEqual(before)
    expect(clock.pending).toBe(0)
  })

  test('makes the activator ignore later reports, and can be called twice', async () => {
    const { wake, activator, driver, told } = await rig()
    ;(await wake('app')).release()
    await Promise.all([activator.close(), activator.close()])
    driver.crash('app')
    expect(await activator.sleep('app').catch(() => 'refused')).toBe('refused')
    expect(told).toEqual(['waking app', 'awake app'])
  })
})
