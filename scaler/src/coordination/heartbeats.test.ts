import { describe, expect, test } from 'vitest'
import { FakeClock, FakeCoordination, ProcessClock, settle } from '../drivers/fake/index.ts'
import { BoundedStore } from './bounded-store.ts'
import { Heartbeats } from './heartbeats.ts'
import type { Shared } from './types.ts'

const BEAT = 3_000

async function worldOf() {
  const clock = new FakeClock()
  const coordination = new FakeCoordination(clock)
  const stored = new Map<string, Shared>()
  const observer = coordination.connect()
  await observer.watch((key, value) => void (value ? stored.set(key, value) : stored.delete(key)))

  async function make(name: string) {
    const process = new ProcessClock(clock)
    const connection = coordination.connect({ clock: process })
    const errors: string[] = []
    /** The keys of all updates. */
    const updates: string[] = []
    const { update } = connection
    const it = { refuses: undefined as string | undefined, changes: 0 }
    connection.update = (key, change, options) => {
      updates.push(key)
      if (key === it.refuses) return Promise.reject(new Error(`refused ${key}`))
      return update.call(connection, key, change as never, options) as never
    }
    const beats = new Heartbeats({
      name,
      store: new BoundedStore(connection, process),
      clock: process,
      onError: (error) => errors.push(error.message),
    })
    const watch = beats.watch(() => it.changes++)
    await connection.watch((key, value) => beats.news(key, value))
    return Object.assign(it, { beats, connection, process, errors, updates, watch })
  }

  async function join(name: string): ReturnType<typeof make> {
    const member = await make(name)
    await member.beats.start()
    return member
  }

  const remove = (key: string): Promise<unknown> =>
    observer.update(key, () => undefined, { signal: new AbortController().signal })
  return { clock, stored, make, join, remove }
}

describe('a member', () => {
  test('counts as lost until its first heartbeat, and then sends one every three seconds', async () => {
    const { clock, stored, make } = await worldOf()
    const { beats, changes, updates } = await make('a')
    expect([beats.lost.aborted, changes]).toEqual([true, 0])
    await beats.start()
    expect([beats.id, beats.lost.aborted]).toEqual(['a.1', false])
    expect([[...stored], updates]).toEqual([[['member/a.1', { count: 1 }]], ['member/a.1']])
    await clock.advance(BEAT - 1)
    expect(stored.get('member/a.1')).toEqual({ count: 1 })
    await clock.advance(1)
    expect(stored.get('member/a.1')).toEqual({ count: 2 })
    await clock.advance(20 * BEAT)
    expect([beats.id, [...stored]]).toEqual(['a.1', [['member/a.1', { count: 22 }]]])
  })

  test('asks the store about nobody while all that it knows are alive, not even about itself', async () => {
    const { clock, join } = await worldOf()
    const [one] = [await join('a'), await join('b')]
    one.updates.length = 0
    await clock.advance(20 * BEAT)
    expect(one.updates).toEqual(Array(20).fill('member/a.1'))
  })

  test('is lost twelve seconds after its last heartbeat, and tells it once', async () => {
    const { clock, join } = await worldOf()
    const it = await join('a')
    await clock.advance(BEAT)
    const { lost } = it.beats
    it.connection.partition()
    it.process.stop()
    await clock.advance(11_999)
    it.process.continue()
    expect(lost.aborted).toBe(false)
    const { changes } = it
    await clock.advance(1)
    expect([lost.aborted, it.changes - changes]).toEqual([true, 1])
    it.beats.news('member/a.1', undefined)
    expect(it.changes - changes).toBe(1)
  })

  test('reports heartbeats that fail, and tells its watchers after each one', async () => {
    const { clock, join } = await worldOf()
    const it = await join('a')
    const { changes } = it
    it.refuses = 'member/a.1'
    await clock.advance(2 * BEAT)
    expect([it.errors, it.changes - changes]).toEqual([['refused member/a.1', 'refused member/a.1'], 2])
    it.watch[Symbol.dispose]()
    await clock.advance(BEAT)
    expect(it.changes - changes).toBe(2)
  })

  test('that the others have removed is lost as soon as it hears it, and returns under a new id', async () => {
    const { clock, stored, join, remove } = await worldOf()
    const { beats } = await join('a')
    const { lost } = beats
    await remove('member/a.1')
    expect([lost.aborted, beats.id]).toEqual([true, 'a.1'])
    await clock.advance(BEAT)
    expect([beats.id, beats.lost.aborted, [...stored.keys()]]).toEqual(['a.2', false, ['member/a.2']])
  })

  test('that the others have removed learns it from its heartbeat if no notification comes', async () => {
    const { clock, stored, join, remove } = await worldOf()
    const { beats, connection } = await join('a')
    const { lost } = beats
    connection.partition('notifications')
    await remove('member/a.1')
    await clock.advance(BEAT)
    expect([lost.aborted, beats.id, [...stored.keys()]]).toEqual([true, 'a.2', ['member/a.2']])
  })

  test('that returns under a new id keeps the former one for another heartbeat, while its shares are renewed', async () => {
    const { clock, stored, join } = await worldOf()
    const it = await join('a')
    it.connection.partition()
    await clock.advance(13_000)
    it.connection.heal()
    while (it.beats.id === 'a.1') await clock.advance(100)
    expect([...stored.keys()].filter((key) => key.startsWith('member/a'))).toContain('member/a.1')
    await clock.advance(BEAT)
    expect([...stored.keys()]).toEqual([`member/${it.beats.id}`])
  })

  test('that returns under a new id deletes its former heartbeat, and reports if that fails', async () => {
    const { clock, stored, join } = await worldOf()
    for (const refuses of [undefined, 'member/b.1']) {
      const it = await join(refuses ? 'b' : 'a')
      it.connection.partition()
      await clock.advance(13_000)
      it.connection.heal()
      it.refuses = refuses
      it.errors.length = 0
      await clock.advance(2 * BEAT)
      expect(it.beats.id).toMatch(/\.2$/)
      expect(it.errors).toEqual(refuses ? [`refused ${refuses}`] : [])
    }
    expect([...stored.keys()].sort()).toEqual(['member/a.2', 'member/b.1', 'member/b.2'])
  })

  test('whose first heartbeat is answered only when it would be lost already tries again', async () => {
    for (const seconds of [11.999, 12]) {
      const { clock, make } = await worldOf()
      const { beats, connection, process } = await make('a')
      connection.partition('answers')
      const started = beats.start()
      await settle()
      process.stop()
      await clock.advance(seconds * 1_000)
      connection.heal()
      await started
      expect(beats.lost.aborted).toBe(seconds === 12)
      process.continue()
      await clock.advance(BEAT)
      expect([beats.lost.aborted, beats.id]).toEqual([false, 'a.2'])
    }
  })
})

describe('another member', () => {
  test('is alive as long as its heartbeat is stored', async () => {
    const { join, remove } = await worldOf()
    const [one, two] = [await join('a'), await join('b')]
    expect([one.beats.isDead('b.1'), two.beats.isDead('a.1')]).toEqual([false, false])
    const { changes } = one
    await remove('member/b.1')
    expect([one.beats.isDead('b.1'), one.changes - changes]).toEqual([true, 1])
    one.beats.news('member/b.1', { count: 1 })
    expect(one.beats.isDead('b.1')).toBe(false)
  })

  test('that has sent no heartbeat for twenty seconds is removed', async () => {
    const { clock, stored, join } = await worldOf()
    await clock.advance(1_000)
    const { beats } = await join('b')
    await clock.advance(1_000)
    const silent = await join('a')
    silent.process.stop()
    await clock.advance(19_999)
    expect([stored.has('member/a.1'), beats.isDead('a.1')]).toEqual([true, false])
    await clock.advance(1)
    expect([stored.has('member/a.1'), beats.isDead('a.1')]).toEqual([false, true])
  })

  test('is not removed because its notifications are late', async () => {
    const { clock, stored, join } = await worldOf()
    const [one] = [await join('a'), await join('b')]
    one.connection.partition('notifications')
    await clock.advance(60_000)
    expect([...stored.keys()]).toEqual(['member/a.1', 'member/b.1'])
    expect(one.beats.isDead('b.1')).toBe(false)
  })

  test('of which nothing is known counts as alive until the store was asked, which happens once', async () => {
    const { clock, make, join } = await worldOf()
    const one = await join('a')
    const two = await make('b')
    one.connection.partition('notifications')
    await two.beats.start()
    for (const id of ['b.1', 'x.1', 'a.1']) expect(one.beats.isDead(id)).toBe(false)
    one.updates.length = 0
    await clock.advance(2 * BEAT)
    expect(one.updates).toEqual(['member/a.1', 'member/b.1', 'member/x.1', 'member/a.1'])
    expect(['b.1', 'x.1'].map((id) => one.beats.isDead(id))).toEqual([false, true])
    expect(one.errors).toEqual([])
  })

  test('that the store could not be asked about is reported', async () => {
    const { clock, join } = await worldOf()
    const one = await join('a')
    one.beats.isDead('x.1')
    one.refuses = 'member/x.1'
    await clock.advance(BEAT)
    expect(one.errors).toEqual(['refused member/x.1'])
  })

  test('that was removed is remembered, up to a thousand of them', async () => {
    const { join } = await worldOf()
    const { beats } = await join('a')
    for (let count = 0; count <= 1_000; count++) beats.news(`member/x.${count}`, undefined)
    expect([0, 1, 1_000].map((count) => beats.isDead(`x.${count}`))).toEqual([false, true, true])
  })

  test('is no target', async () => {
    const { join } = await worldOf()
    const it = await join('a')
    const { changes } = it
    it.beats.news('target/app', undefined)
    expect(it.changes).toBe(changes)
  })
})

describe('a member that leaves', () => {
  test('deletes its heartbeat, is lost, and leaves no timer', async () => {
    const { clock, stored, join } = await worldOf()
    const it = await join('a')
    await it.beats.close()
    expect([[...stored], it.beats.lost.aborted, clock.pending]).toEqual([[], true, 0])
    const { changes } = it
    it.beats.news('member/x.1', undefined)
    expect(it.changes).toBe(changes)
  })

  test('during its first heartbeat, or another one, sends no further one, and reports and tells nothing', async () => {
    const { clock, make } = await worldOf()
    for (const isFirst of [true, false]) {
      const it = await make(isFirst ? 'a' : 'b')
      if (!isFirst) await it.beats.start()
      it.beats.isDead('x.1')
      it.connection.latency = () => 10
      void it.beats.start()
      await settle()
      const { changes } = it
      it.refuses = `member/${isFirst ? 'a.0' : 'b.1'}`
      const closed = it.beats.close()
      const after = it.changes
      await clock.advance(100)
      await closed
      expect([clock.pending, it.errors, it.changes]).toEqual([0, [], after])
      expect(after - changes).toBe(isFirst ? 0 : 1)
    }
  })

  test('does not report what fails afterwards', async () => {
    const { clock, join } = await worldOf()
    const it = await join('a')
    it.connection.partition()
    await clock.advance(BEAT)
    await Promise.all([it.beats.close(AbortSignal.abort()), clock.advance(10_000)])
    expect([it.errors, clock.pending]).toEqual([[], 0])
  })
})
