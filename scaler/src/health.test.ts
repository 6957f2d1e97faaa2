import { describe, expect, test } from 'vitest'
import { FakeClock, settle } from './drivers/fake/index.ts'
import { Health } from './health.ts'
import { EndpointSet, type EndpointHealth } from './picker.ts'

/** Remembers the health of each endpoint. */
class WatchedSet extends EndpointSet {
  readonly health: Record<string, EndpointHealth> = {}

  override setHealth(id: string, health: EndpointHealth): boolean {
    this.health[id] = health
    return super.setHealth(id, health)
  }
}

interface Probe {
  readonly id: string
  readonly at: number
  readonly signal: AbortSignal
  readonly answer: (answers: boolean) => Promise<void>
  readonly fail: (code?: string) => Promise<void>
}

/** Endpoints whose probes the test answers. */
function healthOf(...ids: string[]) {
  const clock = new FakeClock()
  const endpoints = new WatchedSet()
  const probes: Probe[] = []
  const dead: string[] = []
  const alive: string[] = []
  const report = (...now: string[]): void =>
    endpoints.replace(now.map((id) => ({ id, url: new URL('http://127.0.0.1') })))
  let changes = 0
  const health = new Health({
    clock,
    endpoints,
    probe({ id }, signal) {
      const result = Promise.withResolvers<boolean>()
      const answer = (answers: boolean): Promise<void> => {
        result.resolve(answers)
        return settle()
      }
      const fail = (code?: string): Promise<void> => {
        result.reject(Object.assign(new Error('no'), code && { code }))
        return settle()
      }
      probes.push({ id, at: clock.now(), signal, answer, fail })
      return result.promise
    },
    changed: () => changes++,
    dead({ id }) {
      dead.push(id)
      endpoints.dropDead(id)
    },
    alive({ id }) {
      alive.push(id)
      endpoints.revive(id)
    },
  })
  report(...ids)
  const last = (): Probe => probes.at(-1)!
  const times = (): number[] => probes.map(({ at }) => at)
  return { clock, endpoints, health, report, probes, last, times, dead, alive, changes: () => changes }
}

describe('a fault', () => {
  test.each([
    ['refused', 'held'],
    ['reset', 'held'],
    ['timeout', 'avoided'],
  ] as const)('%s makes the endpoint %s until it answers a probe', async (fault, state) => {
    const { clock, endpoints, health, last, probes, changes } = healthOf('a', 'b')
    health.report('a', fault)
    expect([endpoints.health, changes()]).toEqual([{ a: state }, 1])
    expect(last().signal.aborted).toBe(false)
    await last().answer(true)
    expect([endpoints.health, changes()]).toEqual([{ a: 'usable' }, 2])
    expect([probes.length, clock.pending, last().signal.aborted]).toEqual([1, 0, true])
  })

  test('at an unknown endpoint is ignored', () => {
    const { health, probes } = healthOf('a')
    health.report('z', 'refused')
    health.verify(['z'])
    expect(probes).toEqual([])
  })

  test('that is a reset less than five seconds after a good probe does not hold the endpoint', async () => {
    const { clock, endpoints, health, last } = healthOf('a')
    health.report('a', 'reset')
    await last().answer(true)
    await clock.advance(4_999)
    health.report('a', 'reset')
    expect(endpoints.health['a']).toBe('avoided')
    await last().answer(true)
    await clock.advance(5_000)
    health.report('a', 'reset')
    expect(endpoints.health['a']).toBe('held')
  })

  test('during a probe makes its answer worthless: the endpoint is probed again', async () => {
    const { endpoints, health, last, probes } = healthOf('a')
    health.report('a', 'timeout')
    health.report('a', 'refused')
    expect([probes.length, endpoints.health['a']]).toEqual([1, 'held'])
    await last().answer(true)
    expect([probes.length, endpoints.health['a']]).toEqual([2, 'held'])
    await last().answer(true)
    expect([probes.length, endpoints.health['a']]).toEqual([2, 'usable'])
  })

  test('before the next probe of an endpoint that is gone changes nothing', async () => {
    const { clock, endpoints, health, last, times } = healthOf('a')
    health.report('a', 'refused')
    await last().answer(false)
    health.report('a', 'refused')
    health.report('a', 'timeout')
    expect([times(), endpoints.health['a']]).toEqual([[0], 'held'])
    await clock.advance(50)
    expect(times()).toEqual([0, 50])
  })

  test('of an endpoint that hangs is probed at once only if it may be gone now', async () => {
    const { clock, endpoints, health, last, times } = healthOf('a')
    health.report('a', 'timeout')
    await clock.advance(1_500)
    health.report('a', 'timeout')
    expect([times(), endpoints.health['a']]).toEqual([[0], 'avoided'])
    health.report('a', 'refused')
    expect([times(), endpoints.health['a']]).toEqual([[0, 1_500], 'held'])
    await last().answer(true)
    await clock.advance(60_000)
    expect(times()).toEqual([0, 1_500])
  })
})

describe('a probe', () => {
  test.each([
    ['ECONNREFUSED', [0, 50, 250]],
    ['EHOSTUNREACH', [0, 1_000, 3_000, 7_000]],
    [undefined, [0, 1_000, 3_000, 7_000]],
  ])('that fails with %s is repeated; after the last one, the endpoint is dead', async (code, expected) => {
    const { clock, endpoints, health, last, times, dead } = healthOf('a')
    health.report('a', 'timeout')
    for (const at of expected) {
      expect(dead).toEqual([])
      await clock.advance(at - clock.now())
      await last().fail(code)
      expect(endpoints.health['a']).toBe('held')
    }
    expect(dead).toEqual(['a'])
    expect(times()).toEqual(expected)
  })

  test('without an answer for a second is repeated, at twice the interval each time, at most every 30 s', async () => {
    const { clock, endpoints, health, times, probes, dead } = healthOf('a')
    health.report('a', 'refused')
    await clock.advance(1_000)
    expect([endpoints.health['a'], probes[0]!.signal.aborted]).toEqual(['avoided', true])
    await clock.advance(131_000)
    const pauses = times().map((at, index) => at - (times()[index - 1] ?? 0))
    expect(pauses).toEqual([0, 2_000, 3_000, 5_000, 9_000, 17_000, 31_000, 31_000, 31_000])
    expect(dead).toEqual([])
  })

  test('that is answered too late says nothing', async () => {
    const { clock, endpoints, health, probes, dead } = healthOf('a')
    health.report('a', 'timeout')
    await clock.advance(1_000)
    await probes[0]!.answer(true)
    expect([endpoints.health['a'], dead, clock.pending]).toEqual(['avoided', [], 1])
  })

  test('that hangs or is answered means that the failures do not count any more', async () => {
    const { clock, endpoints, health, last, dead } = healthOf('a')
    for (const event of ['hangs', 'answers']) {
      health.report('a', 'refused')
      await last().answer(false)
      await clock.advance(50)
      await last().answer(false)
      await clock.advance(200)
      if (event === 'hangs') await clock.advance(2_000)
      else {
        await last().answer(true)
        health.report('a', 'refused')
      }
      await last().answer(false)
      await clock.advance(50)
      await last().answer(true)
      expect([dead, endpoints.health['a']]).toEqual([[], 'usable'])
    }
  })

  test('that fails or is answered means that the endpoint does not hang any more', async () => {
    const { clock, health, last, times } = healthOf('a')
    health.report('a', 'timeout')
    await clock.advance(2_000)
    await last().answer(false)
    await clock.advance(50 + 1_000)
    // Its first hang after the failure: probed again after one second, not two.
    await clock.advance(1_000)
    expect(times()).toEqual([0, 2_000, 2_050, 4_050])
    await last().answer(true)
    health.report('a', 'timeout')
    await clock.advance(2_000)
    expect(times().slice(4)).toEqual([4_050, 6_050])
  })
})

describe('ejection', () => {
  async function fault({ health, last }: ReturnType<typeof healthOf>, times = 5, id = 'a'): Promise<void> {
    for (let count = 0; count < times; count++) {
      health.report(id, 'timeout')
      await last().answer(true)
    }
  }

  test('takes five faults, each at most ten seconds after the one before', async () => {
    const it = healthOf('a', 'b')
    for (let count = 0; count < 5; count++) {
      expect(it.endpoints.health['a'] ?? 'usable').toBe('usable')
      await it.clock.advance(10_000)
      await fault(it, 1)
    }
    expect(it.endpoints.health['a']).toBe('held')

    const calm = healthOf('a', 'b')
    await fault(calm, 4)
    await calm.clock.advance(10_001)
    await fault(calm, 4)
    expect(calm.endpoints.health['a']).toBe('usable')
  })

  test('lasts twice as long each time, at most a minute', async () => {
    const it = healthOf('a', 'b')
    for (const seconds of [5, 10, 20, 40, 60, 60]) {
      await fault(it)
      const probes = it.probes.length
      await it.clock.advance(seconds * 1_000 - 1)
      expect([it.probes.length, it.endpoints.health['a']]).toEqual([probes, 'held'])
      await it.clock.advance(1)
      expect(it.probes.length).toBe(probes + 1)
      await it.last().answer(true)
      expect(it.endpoints.health['a']).toBe('usable')
    }
  })

  test('keeps half of the endpoints: one of two may be ejected, and one of three', async () => {
    for (const ids of [
      ['a', 'b'],
      ['a', 'b', 'c'],
    ]) {
      const it = healthOf(...ids)
      for (const id of ids) await fault(it, 5, id)
      expect(Object.values(it.endpoints.health).filter((health) => health === 'held')).toHaveLength(1)
    }
    const alone = healthOf('a')
    await fault(alone)
    expect(alone.endpoints.health['a']).toBe('usable')
  })
})

describe('what another activator has found dead', () => {
  test('is probed once, and not while it is probed already', async () => {
    const { health, probes } = healthOf('a', 'b')
    health.report('b', 'timeout')
    health.verify(['a', 'b'])
    expect(probes.map(({ id }) => id)).toEqual(['b', 'a'])
    await Promise.all(probes.map(({ answer }) => answer(true)))
    health.verify(['a', 'b'])
    expect(probes).toHaveLength(2)
  })
})

describe('what is known', () => {
  test('of endpoints that the driver does not report any more is forgotten, and their probes end', async () => {
    const { clock, health, report, probes } = healthOf('a', 'b', 'c')
    for (const id of ['a', 'b', 'c']) health.report(id, 'refused')
    await probes[2]!.answer(false)
    report('b')
    health.update()
    expect(probes.map(({ signal }) => signal.aborted)).toEqual([true, false, true])
    expect(clock.pending).toBe(1)
    report('a', 'b')
    health.report('a', 'refused')
    expect(probes).toHaveLength(4)
  })

  test('is forgotten when the target goes to sleep', async () => {
    const { clock, health, probes, dead } = healthOf('a', 'b')
    health.clear()
    for (const id of ['a', 'b']) health.report(id, 'refused')
    await probes[1]!.answer(false)
    health.clear()
    expect(probes[0]!.signal.aborted).toBe(true)
    await probes[0]!.answer(false)
    expect([clock.pending, dead]).toEqual([0, []])
    health.report('b', 'refused')
    expect(probes).toHaveLength(3)
  })
})

describe('a dead endpoint', () => {
  /** Dead since 250 ms. */
  async function died(...ids: string[]) {
    const it = healthOf(...ids)
    it.health.report('a', 'refused')
    for (const at of [0, 50, 250]) {
      await it.clock.advance(at - it.clock.now())
      await it.last().answer(false)
    }
    expect(it.dead).toEqual(['a'])
    return it
  }

  test('is probed again as long as the driver reports it, ever more rarely, and is used again once it answers', async () => {
    const { clock, last, probes, alive, endpoints } = await died('a', 'b')
    const pauses: number[] = []
    const next = async (): Promise<void> => {
      const [began, before] = [clock.now(), probes.length]
      while (probes.length === before) await clock.advance(500)
      pauses.push(clock.now() - began)
    }
    for (const code of ['ECONNREFUSED', 'EHOSTUNREACH', undefined, 'ECONNRESET', 'ENOENT']) {
      await next()
      await last().fail(code)
    }
    await next()
    expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
    expect([endpoints.ids, alive]).toEqual([['b'], []])
    await last().answer(true)
    expect([endpoints.ids.sort(), alive, clock.pending]).toEqual([['a', 'b'], ['a'], 0])
  })

  test('is forgotten when the driver does not report it any more', async () => {
    const { clock, health, report } = await died('a', 'b')
    report('b')
    health.update()
    expect(clock.pending).toBe(0)
  })

  test('is still known after a scale-down that did not happen, and not after the end', async () => {
    const { clock, health } = await died('a')
    health.clear()
    expect(clock.pending).toBe(1)
    health.close()
    expect(clock.pending).toBe(0)
  })
})

describe('an endpoint at which request after request fails', () => {
  async function fail(it: ReturnType<typeof healthOf>, faults: number): Promise<void> {
    for (let count = 0; count < faults; count++) it.health.report('a', 'timeout')
    await it.last().answer(true)
  }

  test('is ejected also if requests fail faster than it answers probes', async () => {
    const it = healthOf('a', 'b')
    await fail(it, 5)
    expect([it.endpoints.health['a'], it.probes.length]).toEqual(['held', 1])
  })

  test('is ejected for longer each time, and for the first time again after ten good minutes', async () => {
    const it = healthOf('a', 'b')
    const { clock, last, probes } = it
    const times: number[] = []
    for (const pause of [0, 1_000, 11 * 60_000]) {
      await clock.advance(pause)
      await fail(it, 5)
      const began = clock.now()
      const before = probes.length
      while (probes.length === before) await clock.advance(500)
      times.push(clock.now() - began)
      await last().answer(true)
    }
    expect(times).toEqual([5_000, 10_000, 5_000])
  })

  test('stays ejected when another activator finds it dead', async () => {
    const it = healthOf('a', 'b')
    await fail(it, 5)
    it.health.verify(['a'])
    expect(it.probes).toHaveLength(1)
  })

  test('is looked at again when it is found dead again', async () => {
    const it = healthOf('a', 'b')
    it.health.verify(['a'])
    await it.last().answer(true)
    it.health.verify(['a'])
    expect(it.probes).toHaveLength(1)
    it.health.verify([])
    it.health.verify(['a'])
    expect(it.probes).toHaveLength(2)
  })
})
