import { describe, expect, test } from 'vitest'
import { gate, MINUTE, rig } from '../test/harness.ts'
import { DEFAULT_POLICY } from './activator.ts'
import { FakeDriver, settle } from './drivers/fake/index.ts'

// Longer than 500 lines: one list of rules, in the order of the README.

// The rules of the library, with their numbers in the README. Rules 10 and 11 and the HTTP part of 14 are tested in src/http,
// the probing of rule 14 in readiness.test.ts.

describe('rule 1: one wake in flight per target', () => {
  test('1,000 simultaneous requests to a sleeping target make one scale call, and all are served', async () => {
    const { ask, driver, scaled, activator } = await rig()
    const asked = Array.from({ length: 1_000 }, () => ask('app'))
    await settle()
    driver.ready('app')
    await Promise.all(asked.map(({ promise }) => promise))
    expect(scaled()).toEqual(['app 1'])
    expect(activator.stats('app')).toMatchObject({ phase: 'awake', inFlight: 1_000, queued: 0 })
  })

  test('requests that arrive later during a wake join it', async () => {
    const { ask, driver, scaled, clock } = await rig()
    const first = ask('app')
    await clock.advance(500)
    const second = ask('app')
    await clock.advance(500)
    driver.ready('app')
    await Promise.all([first.promise, second.promise])
    expect(scaled()).toEqual(['app 1'])
  })

  test('different targets wake in parallel', async () => {
    const { ask, driver, scaled } = await rig()
    const one = ask('one')
    ask('two')
    await settle()
    driver.ready('one')
    await one.promise
    expect(scaled()).toEqual(['one 1', 'two 1'])
  })

  test('an abort never cancels the wake, and the waiter leaves the queue at once', async () => {
    const { ask, driver, scaled, activator } = await rig()
    const abort = new AbortController()
    const gone = ask('app', { signal: abort.signal })
    const stays = ask('app')
    await settle()
    abort.abort(new Error('the browser left'))
    expect(activator.stats('app')).toMatchObject({ phase: 'waking', queued: 1 })
    await settle()
    expect(gone.error).toEqual(new Error('the browser left'))
    driver.ready('app')
    await stays.promise
    expect(scaled()).toEqual(['app 1'])
  })

  test('a wake continues even if all waiting requests abort, and the target goes to sleep after its idle time', async () => {
    const { ask, driver, scaled, activator, clock } = await rig()
    const abort = new AbortController()
    ask('app', { signal: abort.signal })
    await settle()
    abort.abort()
    await settle()
    driver.ready('app')
    expect(activator.stats('app')?.phase).toBe('awake')
    await clock.advance(DEFAULT_POLICY.idleTimeout)
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('a request with an aborted signal wakes nothing and leaves no state', async () => {
    const { ask, scaled, activator } = await rig()
    const asked = ask('app', { signal: AbortSignal.abort(new Error('gone')) })
    await settle()
    expect(asked.error).toEqual(new Error('gone'))
    expect(scaled()).toEqual([])
    expect(activator.stats('app')).toBeUndefined()
  })
})

describe('rule 2: readiness is re-checked after subscribing', () => {
  test('a ready report that arrives before the scale call is accepted is not missed', async () => {
    const { ask, driver } = await rig()
    const accepted = gate()
    driver.onScale = (call) => {
      driver.ready(call.key)
      return accepted.passed
    }
    const lease = await ask('app').promise
    expect(lease.endpoint.id).toBe('app-1')
  })

  test('a target that was ready before the watch began is not woken', async () => {
    const driver = new FakeDriver()
    driver.ready('app')
    const { ask, scaled } = await rig({}, { driver })
    await ask('app').promise
    expect(scaled()).toEqual([])
  })

  test('a ready report of a target without any request is stored', async () => {
    const { ask, driver, scaled } = await rig()
    driver.ready('app')
    const lease = await ask('app').promise
    expect(lease.coldStart).toBeUndefined()
    expect(scaled()).toEqual([])
  })
})

describe('rule 3: endpoints are updated before capacity', () => {
  test('no lease is granted on an empty or outdated set', async () => {
    const { ask, driver } = await rig({ concurrency: 1 })
    const first = ask('app')
    const second = ask('app')
    await settle()
    driver.ready('app')
    const lease = await first.promise
    const [, two] = driver.ready('app', 2)
    expect(lease.endpoint.id).toBe('app-1')
    expect((await second.promise).endpoint.id).not.toBe('app-1')
    expect(two).toBeDefined()
  })

  test('if an endpoint becomes ready and disappears in one turn, no lease is granted on it', async () => {
    const { ask, driver, scaled } = await rig({ concurrency: 1 })
    const asked = [ask('app'), ask('app')]
    await settle()
    const [old] = driver.ready('app')
    driver.crash('app')
    await settle()
    expect(asked[1]?.settled).toBe(0)
    const [fresh] = driver.ready('app', 2)
    await settle()
    expect(asked[0]?.lease?.endpoint.id).toBe(old?.id)
    expect(asked[1]?.lease?.endpoint.id).toBe(fresh?.id)
    expect(scaled()).toEqual(['app 1', 'app 1'])
  })
})

describe('rule 4: the idle clock starts at the last release', () => {
  test('not at the first release, nor at the last request', async () => {
    const { ask, wake, clock, activator } = await rig({ idleTimeout: MINUTE })
    const first = await wake('app')
    const second = await ask('app').promise
    await clock.advance(10 * MINUTE)
    first.release()
    await clock.advance(10 * MINUTE)
    expect(activator.stats('app')?.phase).toBe('awake')
    second.release()
    await clock.advance(MINUTE - 1)
    expect(activator.stats('app')?.phase).toBe('awake')
    await clock.advance(1)
    expect(activator.stats('app')).toBeUndefined()
  })

  test('a stream that stays open for an hour is not idle', async () => {
    const { wake, ask, clock, activator, scaled } = await rig({ idleTimeout: MINUTE })
    const stream = await wake('app')
    ;(await ask('app').promise).release()
    await clock.advance(60 * MINUTE)
    expect(activator.stats('app')).toMatchObject({ phase: 'awake', inFlight: 1 })
    stream.release()
    await clock.advance(MINUTE)
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('a request in between restarts the idle time', async () => {
    const { wake, ask, clock, activator } = await rig({ idleTimeout: MINUTE })
    ;(await wake('app')).release()
    await clock.advance(MINUTE - 1)
    ;(await ask('app').promise).release()
    await clock.advance(MINUTE - 1)
    expect(activator.stats('app')?.phase).toBe('awake')
    await clock.advance(1)
    expect(activator.stats('app')).toBeUndefined()
  })

  test('releasing a lease twice, or disposing it as well, counts once', async () => {
    const { wake, ask, activator } = await rig()
    {
      using first = await wake('app')
      first.release()
      first.release()
    }
    await ask('app').promise
    expect(activator.stats('app')?.inFlight).toBe(1)
  })

  test('a target with minReplicas is never idle, and wakes with that many replicas', async () => {
    const { wake, clock, scaled } = await rig({ minReplicas: 2, idleTimeout: MINUTE })
    ;(await wake('app', 2)).release()
    await clock.advance(60 * MINUTE)
    expect(scaled()).toEqual(['app 2'])
    expect(clock.pending).toBe(0)
  })

  test('a changed policy applies from the next decision on', async () => {
    const policy = { ...DEFAULT_POLICY, idleTimeout: MINUTE }
    const { wake, ask, clock, activator } = await rig({}, { policy: () => policy })
    ;(await wake('app')).release()
    policy.idleTimeout = 5 * MINUTE
    ;(await ask('app').promise).release()
    await clock.advance(4 * MINUTE)
    expect(activator.stats('app')?.phase).toBe('awake')
  })
})

describe('rule 5: sleeping is a compare-and-swap on a generation', () => {
  test('a request that arrives while scale(0) is pending waits for the next generation', async () => {
    const { wake, ask, driver, activator, scaled, clock } = await rig({ idleTimeout: MINUTE })
    const dying = await wake('app')
    dying.release()
    const accepted = gate()
    driver.onScale = (call) => (call.replicas === 0 ? accepted.passed : undefined)
    await clock.advance(MINUTE)
    expect(activator.stats('app')?.phase).toBe('draining')

    const asked = ask('app')
    await settle()
    expect(asked.settled).toBe(0)
    expect(scaled()).toEqual(['app 1', 'app 0'])
    accepted.open()
    await settle()
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
    driver.ready('app')
    const lease = await asked.promise
    expect(lease.endpoint.id).not.toBe(dying.endpoint.id)
    expect(lease.coldStart).toBeDefined()
  })

  test('late ready reports of a stopping endpoint are ignored, while the target drains and when it is asleep', async () => {
    const { wake, ask, driver, activator, scaled } = await rig()
    const dying = await wake('app', 2)
    dying.release()
    driver.lingers = true
    const accepted = gate()
    driver.onScale = (call) => (call.replicas === 0 ? accepted.passed : undefined)
    const slept = activator.sleep('app')
    await settle()
    driver.emit('app', { ready: [dying.endpoint] })
    expect(activator.stats('app')).toMatchObject({ phase: 'draining', endpoints: 0 })
    accepted.open()
    expect(await slept).toBe(true)
    driver.emit('app', { ready: [dying.endpoint] })
    expect(activator.stats('app')).toMatchObject({ phase: 'asleep', endpoints: 0 })

    const asked = ask('app')
    await settle()
    driver.emit('app', { ready: [dying.endpoint] })
    await settle()
    expect(asked.settled).toBe(0)
    const [fresh] = driver.ready('app')
    expect((await asked.promise).endpoint.id).toBe(fresh?.id)
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
  })

  test('a replica of the old generation that becomes ready during the drain gets no lease', async () => {
    const { wake, ask, driver, activator } = await rig()
    ;(await wake('app')).release()
    driver.lingers = true
    const slept = activator.sleep('app')
    const asked = ask('app')
    const [late] = driver.ready('app')
    await slept
    driver.emit('app', { ready: late ? [late] : [] })
    await settle()
    expect(asked.settled).toBe(0)
    driver.ready('app')
    expect((await asked.promise).endpoint.id).not.toBe(late?.id)
  })

  test('a sleep in the same turn as a grant does not happen', async () => {
    const { wake, ask, activator, scaled } = await rig()
    ;(await wake('app')).release()
    const asked = ask('app')
    expect(await activator.sleep('app')).toBe(false)
    await asked.promise
    expect(scaled()).toEqual(['app 1'])
  })

  test('a target that is waking or has waiting requests does not go to sleep', async () => {
    const { ask, activator, scaled } = await rig()
    ask('app')
    expect(await activator.sleep('app')).toBe(false)
    expect(scaled()).toEqual(['app 1'])
  })

  test('an unknown target counts as asleep', async () => {
    const { activator, scaled } = await rig()
    expect(await activator.sleep('app')).toBe(true)
    expect(scaled()).toEqual([])
  })

  test('each wake and each scale-down has its own generation', async () => {
    const { wake, ask, driver, activator } = await rig()
    const accepted = gate()
    ;(await wake('app')).release()
    const first = activator.stats('app')?.generation ?? NaN
    driver.onScale = (call) => (call.replicas === 0 ? accepted.passed : undefined)
    const slept = activator.sleep('app')
    const asked = ask('app')
    accepted.open()
    await slept
    driver.ready('app')
    await asked.promise
    expect(activator.stats('app')?.generation).toBeGreaterThan(first + 1)
  })

  test('if the driver never finishes a drain, requests fail after the readiness timeout', async () => {
    const { wake, ask, driver, activator, clock } = await rig({ readinessTimeout: MINUTE })
    ;(await wake('app')).release()
    driver.onScale = () => new Promise(() => undefined)
    void activator.sleep('app')
    await settle()
    const asked = ask('app')
    await clock.advance(MINUTE)
    expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
    const next = ask('app')
    await clock.advance(MINUTE)
    expect(next.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
    expect(clock.pending).toBe(0)
  })

  test('if the driver refuses to scale down, running endpoints are used and become idle again', async () => {
    const { wake, ask, driver, activator, clock, scaled } = await rig({ idleTimeout: MINUTE })
    const before = await wake('app')
    before.release()
    driver.lingers = true
    driver.onScale = () => Promise.reject(new Error('API server not available'))
    await expect(activator.sleep('app')).rejects.toThrow('API server not available')
    expect(activator.stats('app')?.phase).toBe('awake')
    const lease = await ask('app').promise
    expect(lease.endpoint.id).toBe(before.endpoint.id)
    lease.release()
    driver.onScale = undefined
    driver.lingers = false
    await clock.advance(MINUTE)
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 0'])
    expect(activator.stats('app')).toBeUndefined()
  })
})

describe('rule 6: no scale-down while leases are held', () => {
  test('neither by the idle clock nor by sleep()', async () => {
    const { wake, activator, clock, scaled } = await rig({ idleTimeout: MINUTE })
    const lease = await wake('app')
    expect(await activator.sleep('app')).toBe(false)
    await clock.advance(100 * MINUTE)
    expect(scaled()).toEqual(['app 1'])
    lease.release()
    expect(await activator.sleep('app')).toBe(true)
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('an endpoint that becomes ready just after its wake timed out gets no lease before it is stopped', async () => {
    const { ask, driver, clock, scaled } = await rig({ readinessTimeout: MINUTE })
    const accepted = gate()
    driver.onScale = () => accepted.passed
    const first = ask('app')
    await clock.advance(MINUTE)
    expect(first.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT' })
    driver.ready('app')
    await clock.advance(2_000)
    const second = ask('app')
    await settle()
    expect(second.lease).toBeUndefined()
    accepted.open()
    await settle()
    expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
    const [fresh] = driver.ready('app')
    expect((await second.promise).endpoint.id).toBe(fresh?.id)
  })
})

describe('rule 7: concurrent scale-downs are limited', () => {
  test('50 targets that become idle at once are scaled down 8 at a time, and all in the end', async () => {
    const { wake, driver, clock, scaled, activator } = await rig({ idleTimeout: MINUTE })
    const keys = Array.from({ length: 50 }, (_, index) => `app${index}`)
    for (const key of keys) (await wake(key)).release()
    let running = 0
    let most = 0
    const open: (() => void)[] = []
    driver.onScale = async () => {
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => open.push(resolve))
      running--
    }
    await clock.advance(MINUTE)
    expect(running).toBe(8)
    while (open.length > 0) {
      for (const next of open.splice(0)) next()
      await settle()
    }
    expect(most).toBe(8)
    expect(scaled().filter((call) => call.endsWith(' 0'))).toHaveLength(50)
    expect(keys.map((key) => activator.stats(key))).toEqual(keys.map(() => undefined))
  })

  test('a wake does not wait for the scale-downs of other targets', async () => {
    const { wake, ask, driver, clock, scaled } = await rig({ idleTimeout: MINUTE })
    for (let index = 0; index < 20; index++) (await wake(`app${index}`)).release()
    driver.onScale = (call) => (call.replicas === 0 ? new Promise(() => undefined) : undefined)
    await clock.advance(MINUTE)
    ask('other')
    await settle()
    expect(scaled().at(-1)).toBe('other 1')
  })
})

describe('rule 8: running targets are adopted at start', () => {
  test('they serve requests without a wake, and go to sleep when idle', async () => {
    const driver = new FakeDriver()
    driver.ready('used')
    driver.ready('unused')
    const { ask, activator, clock, scaled, told } = await rig({ idleTimeout: MINUTE }, { driver })
    expect(activator.stats('unused')).toMatchObject({ phase: 'awake', endpoints: 1 })
    const lease = await ask('used').promise
    expect(lease.coldStart).toBeUndefined()
    await clock.advance(MINUTE)
    expect(scaled()).toEqual(['unused 0'])
    lease.release()
    await clock.advance(MINUTE)
    expect(scaled()).toEqual(['unused 0', 'used 0'])
    expect(told).toEqual(['asleep unused', 'asleep used'])
  })
})

describe('rule 9: a failed request does not end an endpoint that answers, and a dead one is replaced', () => {
  test.each(['refused', 'reset'] as const)(
    'an endpoint that answers its probe is kept after %s',
    async (fault) => {
      const { ask, wake, driver, activator, scaled } = await rig()
      const lease = await wake('app')
      activator.report('app', lease.endpoint.id, fault)
      expect((await ask('app').promise).endpoint.id).toBe(lease.endpoint.id)
      expect(driver.probes).toEqual([lease.endpoint.id])
      expect(scaled()).toEqual(['app 1'])
    },
  )

  test('no request is sent to a suspect endpoint before its probe ends, if another one is ready', async () => {
    const { ask, wake, driver, activator } = await rig()
    const suspect = await wake('app', 2)
    driver.onProbe = () => new Promise(() => undefined)
    activator.report('app', suspect.endpoint.id, 'refused')
    const next = await Promise.all([ask('app').promise, ask('app').promise])
    expect(next.map((lease) => lease.endpoint.id)).not.toContain(suspect.endpoint.id)
  })

  test.each(['refused', 'reset'] as const)(
    'when the last one is dead after %s, it is replaced: the driver may not know yet',
    async (fault) => {
      const { ask, wake, driver, activator, scaled, clock } = await rig()
      const broken = await wake('app')
      driver.onProbe = () => false
      activator.report('app', broken.endpoint.id, fault)
      broken.release()
      const asked = ask('app')
      await settle()
      expect(asked.settled).toBe(0)
      await clock.advance(1_000)
      expect(scaled()).toEqual(['app 1', 'app 0', 'app 1'])
      const [fresh] = driver.ready('app')
      expect((await asked.promise).endpoint.id).toBe(fresh?.id)
    },
  )

  test('a report on an unknown target or endpoint is ignored', async () => {
    const { wake, activator, driver } = await rig()
    await wake('app')
    activator.report('app', 'app-99', 'refused')
    activator.report('nobody', 'app-1', 'refused')
    expect(activator.stats('app')?.phase).toBe('awake')
    expect(activator.stats('nobody')).toBeUndefined()
    expect(driver.probes).toEqual([])
  })
})

describe('rule 12: a wake and a wait for a place each have their own time limit', () => {
  test('a wake just within the limit succeeds, whatever the idle timeout, and its duration is reported', async () => {
    const { ask, driver, clock } = await rig({ readinessTimeout: MINUTE, idleTimeout: 10 })
    const first = ask('app')
    await clock.advance(20_000)
    const second = ask('app')
    await clock.advance(MINUTE - 20_001)
    driver.ready('app', 1, [{ name: 'spawned', at: 12 }])
    expect((await first.promise).coldStart).toEqual({
      waited: MINUTE - 1,
      phases: [{ name: 'spawned', at: 12 }],
    })
    expect((await second.promise).coldStart?.waited).toBe(MINUTE - 20_001)
  })

  test('the limit applies to the wake, not to each request', async () => {
    const { ask, clock } = await rig({ readinessTimeout: MINUTE })
    const first = ask('app')
    await clock.advance(MINUTE - 1_000)
    const second = ask('app')
    await clock.advance(1_000)
    expect(first.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT', statusCode: 504 })
    expect(second.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT', statusCode: 504 })
  })

  test('waiting for a place at an awake target does not count towards the limit', async () => {
    const { ask, wake, clock } = await rig({ concurrency: 1, readinessTimeout: MINUTE, queueTimeout: 0 })
    const lease = await wake('app')
    const asked = ask('app')
    await clock.advance(10 * MINUTE)
    expect(asked.settled).toBe(0)
    lease.release()
    expect((await asked.promise).coldStart).toBeUndefined()
  })

  test('waiting for a place at an awake, full target ends with the queue timeout, and the lease in use stays', async () => {
    const { ask, wake, clock, activator } = await rig({ concurrency: 1, queueTimeout: 5_000 })
    const lease = await wake('app')
    const [usual, patient, hasty] = [
      ask('app'),
      ask('app', { queueTimeout: 0 }),
      ask('app', { queueTimeout: 10 }),
    ]
    await clock.advance(10)
    expect(hasty.error).toMatchObject({
      code: 'SCALER_QUEUE_TIMEOUT',
      statusCode: 503,
      headers: { 'retry-after': '1' },
    })
    await clock.advance(4_990)
    expect(usual.error).toMatchObject({ code: 'SCALER_QUEUE_TIMEOUT' })
    expect(activator.stats('app')).toMatchObject({ phase: 'awake', inFlight: 1, queued: 1 })
    lease.release()
    await patient.promise
  })

  test('the queue timeout of requests that wait for a wake begins when the target is awake', async () => {
    const { ask, driver, clock } = await rig({
      concurrency: 1,
      queueTimeout: 5_000,
      readinessTimeout: MINUTE,
    })
    const first = ask('app')
    const second = ask('app')
    await clock.advance(MINUTE - 1)
    driver.ready('app')
    await first.promise
    await clock.advance(4_999)
    expect(second.settled).toBe(0)
    await clock.advance(1)
    expect(second.error).toMatchObject({ code: 'SCALER_QUEUE_TIMEOUT' })
  })

  test('no timer is left after the wake', async () => {
    const { ask, wake, clock } = await rig({ readinessTimeout: MINUTE, minReplicas: 1 })
    await wake('app')
    expect(clock.pending).toBe(0)
    await clock.advance(2 * MINUTE)
    await ask('app').promise
  })
})

describe('rule 13: errors are sent as soon as they are known', () => {
  test('a full queue is 503 with Retry-After, and the observer is called', async () => {
    const { ask, activator, told } = await rig({ queueDepth: 2 })
    ask('app')
    ask('app')
    const third = ask('app')
    await settle()
    expect(third.error).toMatchObject({ code: 'SCALER_QUEUE_FULL', statusCode: 503, retryAfter: 1 })
    expect(activator.stats('app')?.queued).toBe(2)
    expect(told).toEqual(['waking app', 'queueFull app'])
  })

  test('the bytes of waiting requests are limited too', async () => {
    const { ask } = await rig({ queueBytes: 1_000 })
    ask('app', { bytes: 900 })
    const second = ask('app', { bytes: 200 })
    await settle()
    expect(second.error).toMatchObject({ code: 'SCALER_QUEUE_FULL' })
  })

  test('a request that is refused by the queue of a sleeping target still wakes it for the next', async () => {
    const { ask, driver, scaled } = await rig({ queueDepth: 0 })
    const refused = ask('app')
    await settle()
    expect(refused.error).toMatchObject({ code: 'SCALER_QUEUE_FULL' })
    expect(scaled()).toEqual(['app 1'])
    driver.ready('app')
    await ask('app').promise
  })

  test('a wake timeout is 504, stops the started replicas, and the observer is called', async () => {
    const { ask, clock, scaled, told } = await rig({ readinessTimeout: MINUTE })
    const asked = ask('app')
    await clock.advance(MINUTE)
    expect(asked.error).toMatchObject({ code: 'SCALER_WAKE_TIMEOUT', statusCode: 504 })
    expect(scaled()).toEqual(['app 1', 'app 0'])
    expect(told).toEqual(['waking app', 'failed app SCALER_WAKE_TIMEOUT'])
  })

  test("a crash while waking is 502 at once with the driver's code, for all who wait", async () => {
    const { ask, driver, clock, scaled } = await rig()
    const asked = [ask('app'), ask('app')]
    await settle()
    const failure = { code: 'IMPORT_ERROR', message: 'No module named flask', details: { line: 3 } }
    driver.fail('app', failure)
    await settle()
    for (const { error } of asked) {
      expect(error).toMatchObject({ code: 'SCALER_TARGET_FAILED', statusCode: 502, failure })
    }
    expect(clock.now()).toBe(0)
    expect(scaled()).toEqual(['app 1', 'app 0'])
  })

  test('a driver that refuses the scale call leads to 502 immediately', async () => {
    const { ask, driver } = await rig()
    driver.onScale = () => Promise.reject(new Error('quota exceeded'))
    const asked = ask('app')
    await settle()
    expect(asked.error).toMatchObject({
      code: 'SCALER_TARGET_FAILED',
      message: 'The target could not start.',
      failure: { code: 'SCALER_SCALE_FAILED', message: 'quota exceeded' },
    })
  })
})
