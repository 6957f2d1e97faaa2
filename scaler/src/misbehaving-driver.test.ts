import { describe, expect, test } from 'vitest'
import { MINUTE, rig } from '../test/harness.ts'
import { createActivator } from './activator.ts'
import { FakeDriver, settle } from './drivers/fake/index.ts'

const never = (): Promise<void> => new Promise(() => undefined)

/** A rig in which the scale calls of targets that begin with `stuck` never settle, and ignore their signals. */
async function withStuck(...[policy, options]: Parameters<typeof rig>): ReturnType<typeof rig> {
  const driver = new FakeDriver()
  driver.onScale = ({ key }) => (key.startsWith('stuck') ? never() : undefined)
  return rig(policy, { driver, ...options })
}

describe('a scale call that never settles', () => {
  test('blocks no other target: others wake, scale out, sleep and are retired', async () => {
    const { ask, wake, activator, driver, clock, scaled } = await withStuck({
      concurrency: 1,
      maxReplicas: 2,
      idleTimeout: MINUTE,
    })
    ask('stuck')
    await settle()
    const lease = await wake('app')
    const second = ask('app')
    await clock.advance(2_000)
    expect(scaled()).toContain('app 2')
    driver.grow('app', 2)
    lease.release()
    ;(await second.promise).release()
    expect(await activator.sleep('app')).toBe(true)
    await wake('old').then((held) => held.release())
    await activator.retire('old')
    expect(scaled()).toEqual(['stuck 1', 'app 1', 'app 2', 'app 0', 'old 1', 'old 0'])
  })

  test('holds no place of the limit on wakes for longer than its turn', async () => {
    const { ask, driver, clock } = await withStuck({}, { wakes: { atOnce: 1, turnLimit: 2_000 } })
    ask('stuck')
    const other = ask('app')
    await clock.advance(2_000)
    driver.ready('app')
    await settle()
    expect(other.lease).toBeDefined()
  })

  test('fails every request to its own target when the wake of that request times out', async () => {
    const { ask, clock } = await withStuck({ readinessTimeout: MINUTE })
    const first = ask('stuck')
    await clock.advance(MINUTE)
    expect(first.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
    await clock.advance(1_000)
    const second = ask('stuck')
    await clock.advance(MINUTE)
    expect(second.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
    expect(clock.pending).toBe(0)
  })

  test('does not delay `close`, and its signal aborts then', async () => {
    const { ask, driver, activator } = await rig({})
    const signals: AbortSignal[] = []
    driver.onScale = (_call, signal) => (signals.push(signal), never())
    const asked = ask('app')
    await settle()
    await activator.close()
    await settle()
    expect(asked.error).toMatchObject({ code: 'SCALER_CLOSED' })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  test('while the target is awake has 30 s until its signal aborts; the target answers meanwhile', async () => {
    const { ask, wake, driver, clock } = await rig({ concurrency: 1, maxReplicas: 2 })
    const lease = await wake('app')
    const signals: AbortSignal[] = []
    driver.onScale = (_call, signal) => (signals.push(signal), never())
    const waiting = ask('app')
    await clock.advance(2_000)
    expect(signals).toHaveLength(1)
    lease.release()
    ;(await waiting.promise).release()
    await clock.advance(29_999)
    expect(signals[0]!.aborted).toBe(false)
    await clock.advance(1)
    expect(signals[0]!.aborted).toBe(true)
  })
})

describe('a driver that rejects', () => {
  test('by throwing synchronously fails the wake with its message', async () => {
    const driver = new FakeDriver()
    driver.scale = () => {
      throw new Error('out of machines')
    }
    const { ask } = await rig({}, { driver })
    const asked = ask('app')
    await settle()
    expect(asked.error).toMatchObject({
      code: 'SCALER_TARGET_FAILED',
      failure: { code: 'SCALER_SCALE_FAILED', message: 'out of machines' },
    })
  })

  test('after its target has become ready changes nothing: the target answers', async () => {
    const { ask, driver } = await rig({})
    const refusals: ((error: Error) => void)[] = []
    driver.onScale = () => new Promise((_resolve, reject) => refusals.push(reject))
    const first = ask('app')
    await settle()
    driver.ready('app')
    await first.promise
    refusals[0]!(new Error('too late'))
    await settle()
    const second = ask('app')
    await settle()
    expect(second.lease).toBeDefined()
    expect(driver.calls).toHaveLength(1)
  })

  test('a scale-out leaves the target as it is, and is asked again', async () => {
    const { ask, wake, driver, clock, told } = await rig({ concurrency: 1, maxReplicas: 2 })
    await wake('app')
    driver.onScale = () => Promise.reject(new Error('out of machines'))
    const waiting = ask('app')
    await clock.advance(2_000)
    expect(told).toContain('error out of machines')
    driver.onScale = () => driver.grow('app', 2)
    await clock.advance(2_000)
    expect(waiting.lease).toBeDefined()
  })

  test('`watch` rejects `createActivator`', async () => {
    const driver = new FakeDriver()
    driver.watch = () => Promise.reject(new Error('no cluster'))
    await expect(createActivator({ driver })).rejects.toThrow('no cluster')
  })
})

describe('a driver that reports wrongly', () => {
  test('a dead endpoint as ready after every start harms no other target', async () => {
    const { ask, wake, activator, driver, clock } = await rig({ readinessTimeout: MINUTE })
    driver.onProbe = () => false
    driver.onScale = ({ key, replicas }) => {
      if (key === 'dead' && replicas > 0) driver.ready('dead')
    }
    const lease = await wake('app')
    for (let attempt = 0; attempt < 5; attempt++) {
      const asked = ask('dead')
      await clock.advance(2_000)
      if (!asked.lease) continue
      activator.report('dead', asked.lease.endpoint.id, 'refused')
      asked.lease.release()
    }
    lease.release()
    const next = ask('app')
    await settle()
    expect(next.lease?.endpoint.id).toBe(lease.endpoint.id)
    expect(driver.calls.filter(({ key }) => key === 'app')).toHaveLength(1)
  })

  test('an endpoint twice, or targets that nobody asked for, is taken as it says', async () => {
    const { ask, driver, activator } = await rig({})
    const [endpoint] = driver.ready('app')
    driver.emit('app', { ready: [endpoint!, endpoint!] })
    driver.emit('unknown', { ready: [] })
    driver.emit('unknown', { ready: [], failure: { code: 'X', message: 'it broke' } })
    expect(activator.stats('app')?.endpoints).toBe(1)
    expect(activator.stats('unknown')).toBeUndefined()
    const asked = ask('app')
    await settle()
    expect(asked.lease).toBeDefined()
  })

  test('after it was disposed wakes nothing and admits nobody', async () => {
    const { driver, activator } = await rig({})
    const report: ((key: string) => void)[] = []
    const watch = driver.watch.bind(driver)
    driver.watch = (onChange) => {
      report.push((key) => onChange(key, { ready: [{ id: 'late', url: new URL('http://127.0.0.1:1') }] }))
      return watch(onChange)
    }
    const other = await createActivator({ driver })
    await other.close()
    report[0]!('app')
    expect([...other.targets()]).toEqual([])
    await activator.close()
  })
})
