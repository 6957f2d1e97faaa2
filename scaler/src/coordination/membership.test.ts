import { describe, expect, test } from 'vitest'
import { FakeClock, FakeCoordination, ProcessClock, settle } from '../drivers/fake/index.ts'
import type { Demand } from '../target-lock.ts'
import { asRetired, EMPTY, withShare, type Ledger } from './ledger.ts'
import type { Members } from './members.ts'
import { Membership } from './membership.ts'
import type { SharedTargetLock } from './target-lock.ts'
import type { Shared } from './types.ts'

const { signal } = new AbortController()

/** The members of an embedder, as the test says. */
class Embedder implements Members {
  id = 'a'
  loss = new AbortController()
  readonly watchers = new Set<() => void>()
  readonly dead = new Set<string>()

  get lost(): AbortSignal {
    return this.loss.signal
  }
  isDead(id: string): boolean {
    return this.dead.has(id)
  }
  watch(onChange: () => void): Disposable {
    this.watchers.add(onChange)
    return { [Symbol.dispose]: () => void this.watchers.delete(onChange) }
  }
  tell(): void {
    for (const watcher of this.watchers) watcher()
  }
  lose(): void {
    this.loss.abort(new Error('lost'))
    this.tell()
  }
  returnAs(id: string): void {
    this.id = id
    this.loss = new AbortController()
    this.tell()
  }
}

/** One member and its store. Without `embedded`, it sends its own heartbeats. */
async function memberOf({ embedded = true, isCutOff = false } = {}) {
  const time = new FakeClock()
  const clock = new ProcessClock(time)
  const coordination = new FakeCoordination(time)
  const stored = new Map<string, Shared>()
  const other = coordination.connect()
  await other.watch((key, value) => void (value ? stored.set(key, value) : stored.delete(key)))
  const connection = coordination.connect({ clock })
  const embedder = new Embedder()
  if (embedded) connection.members = Object.assign(embedder, { [Symbol.dispose]: () => undefined })
  const it = { errors: [] as string[], isDriverCurrent: true, updates: [] as string[], changes: 0 }
  const { update } = connection
  connection.update = (key, change, options) => {
    it.updates.push(key)
    return update.call(connection, key, change as never, options) as never
  }
  if (isCutOff) connection.partition()
  const joined = Membership.join(connection, {
    id: 'a',
    clock,
    onError: (error) => it.errors.push(error.message),
    isDriverCurrent: () => it.isDriverCurrent,
  })
  if (isCutOff) await time.advance(5_000)
  const member = await joined
  it.updates.length = 0
  const demand: Demand = { endpoints: [], concurrency: Infinity, load: {}, waiting: 0 }
  const lock = (key = 'app'): SharedTargetLock =>
    member.lock(key, { changed: () => it.changes++, retired: () => undefined, demand: () => demand })
  const write = (ledger: object | undefined): Promise<unknown> =>
    other.update('target/app', () => ledger && { version: 2, ...ledger }, { signal })
  return Object.assign(it, { time, clock, stored, connection, embedder, member, lock, write })
}

const share = (id: string): Ledger => ({ ...withShare(EMPTY, id), born: 'x', revision: 1 })

describe('the others respect the locks of a member', () => {
  test('that has sent a heartbeat, or of which the embedder says that it is not lost', async () => {
    for (const embedded of [false, true]) {
      const { member, stored } = await memberOf({ embedded })
      expect([member.isTrusted, member.standing, member.fence.aborted]).toEqual([true, 'trusted', false])
      expect([...stored.keys()]).toEqual(embedded ? [] : ['member/a.1'])
    }
  })

  test('not if the store has not answered yet', async () => {
    const { member, errors } = await memberOf({ embedded: false, isCutOff: true })
    expect([member.isTrusted, member.standing]).toEqual([false, 'cutOff'])
    expect(errors).toEqual(['The coordination did not answer within 5 s.'])
  })

  test('not after it was lost, until it is back', async () => {
    const { member, embedder } = await memberOf()
    const { fence } = member
    embedder.lose()
    expect([member.standing, fence.aborted]).toEqual(['cutOff', true])
    embedder.returnAs('b')
    expect([member.standing, member.id, member.fence.aborted]).toEqual(['trusted', 'b', false])
    embedder.returnAs('c')
    expect(member.id).toBe('b')
  })

  test('even if the store does not answer; then it is asked every time, until it does', async () => {
    const { time, member, connection, embedder, updates } = await memberOf()
    connection.partition()
    for (let count = 0; count < 2; count++)
      void member.update('app', asRetired as never).catch(() => undefined)
    await time.advance(5_000)
    expect(member.standing).toBe('trusted')
    await time.advance(5_000)
    expect([member.isTrusted, member.standing]).toEqual([true, 'cutOff'])
    updates.length = 0
    embedder.tell()
    expect(updates).toEqual(['probe'])
    connection.heal()
    await settle()
    expect(member.standing).toBe('trusted')
    embedder.tell()
    expect(updates).toEqual(['probe'])
  })

  test('a member that is cut off and does not hear of the driver either is blind', async () => {
    const it = await memberOf()
    it.isDriverCurrent = false
    expect(it.member.standing).toBe('trusted')
    it.embedder.lose()
    expect(it.member.standing).toBe('blind')
  })
})

describe('who is alive', () => {
  test('the member itself is, its former id is not, and of others the members know', async () => {
    const { member, embedder } = await memberOf()
    for (const id of ['a', 'x']) embedder.dead.add(id)
    expect(['a', 'x', 'y'].map((id) => member.alive(id))).toEqual([true, false, true])
    embedder.dead.clear()
    embedder.lose()
    embedder.returnAs('b')
    expect(['a', 'b'].map((id) => member.alive(id))).toEqual([false, true])
  })
})

describe('after a pause of the process', () => {
  async function paused() {
    const it = await memberOf()
    it.clock.stop()
    await it.time.advance(10_000)
    const { fence } = it.member
    it.member.check()
    return { ...it, fence }
  }

  test('nothing is sent until the members have asked the store, which only timers can tell', async () => {
    const { clock, time, member, embedder, fence } = await paused()
    expect([member.standing, fence.aborted]).toEqual(['checking', true])
    embedder.tell()
    expect(member.standing).toBe('checking')
    clock.continue()
    embedder.tell()
    expect(member.standing).toBe('trusted')
    await time.advance(4_000)
    expect([member.standing, member.fence.aborted]).toEqual(['trusted', false])
  })

  test('of whose end nobody tells, the member counts as cut off after four seconds', async () => {
    const { clock, time, member } = await paused()
    clock.continue()
    await time.advance(3_999)
    expect(member.standing).toBe('checking')
    await time.advance(1)
    expect(member.standing).toBe('cutOff')
  })

  test('updates that failed before do not count: their answers may have come', async () => {
    const { clock, time, member, connection, embedder } = await memberOf()
    connection.partition()
    for (let count = 0; count < 2; count++)
      void member.update(`${count}`, asRetired as never).catch(() => undefined)
    await time.advance(5_000)
    expect(member.standing).toBe('cutOff')
    clock.stop()
    await time.advance(10_000)
    member.check()
    clock.continue()
    embedder.tell()
    expect(member.standing).toBe('trusted')
  })

  test.each([
    ['a pause', true],
    ['an outage', false],
  ])('that came back under a new id after %s: whether its shares are void', async (_event, isPause) => {
    const { clock, time, member, embedder, lock, connection } = await memberOf()
    const held = lock()
    await held.acquireShared()
    connection.partition()
    if (isPause) {
      clock.stop()
      await time.advance(10_000)
      member.check()
      clock.continue()
    } else embedder.lose()
    embedder.returnAs('b')
    expect(held.hasShare).toBe(!isPause)
  })
})

test('a member that keeps its id after a pause keeps its shares', async () => {
  const { clock, time, member, embedder, lock } = await memberOf()
  const held = lock()
  await held.acquireShared()
  clock.stop()
  await time.advance(10_000)
  member.check()
  clock.continue()
  embedder.tell()
  expect(held.hasShare).toBe(true)
})

describe('an update', () => {
  test('has the next revision; one that changes nothing is not written; a deleted ledger is undefined', async () => {
    const { member, stored } = await memberOf()
    const written = await member.update('app', () => EMPTY)
    expect(written).toMatchObject({ revision: 1 })
    expect(stored.get('target/app')).toMatchObject({ version: 2, revision: 1 })
    expect(await member.update('app', (now) => now)).toEqual(written)
    expect(stored.get('target/app')).toMatchObject({ revision: 1 })
    expect(await member.update('app', () => undefined)).toBeUndefined()
    expect(stored.has('target/app')).toBe(false)
  })

  test('of a target waits for those before it, even if they fail; other targets do not wait', async () => {
    const { time, member, connection, updates } = await memberOf()
    connection.latency = () => 100
    const fails = (): never => {
      throw new Error('no')
    }
    const results = [
      member.update('app', fails).catch(() => 'failed'),
      member.update('app', () => EMPTY),
      member.update('other', () => EMPTY),
    ]
    await settle()
    expect(updates).toEqual(['target/app', 'target/other'])
    await time.advance(100)
    results.push(member.update('app', (now) => now))
    await settle()
    expect(updates).toEqual(['target/app', 'target/other', 'target/app'])
    await time.advance(1_000)
    expect(await Promise.all(results)).toMatchObject([
      'failed',
      { revision: 1 },
      { revision: 1 },
      { revision: 1 },
    ])
  })
})

describe('the locks', () => {
  test('know the ledger that was notified before they were made', async () => {
    const { lock, write } = await memberOf()
    await write({ ...EMPTY, terminated: ['e1'] })
    expect(lock().terminated).toEqual(new Set(['e1']))
    await write(undefined)
    expect(lock().terminated).toEqual(new Set())
  })

  test('hear of changes until they are forgotten; a later lock of the target stays', async () => {
    const it = await memberOf()
    const [former, present] = [it.lock(), it.lock()]
    it.member.forget('app', former)
    await it.write({ ...EMPTY, terminated: ['e1'] })
    expect([present.terminated, former.terminated]).toEqual([new Set(['e1']), new Set()])
    it.member.forget('app', present)
    await it.write({ ...EMPTY, revision: 1 })
    expect(present.terminated).toEqual(new Set(['e1']))
  })

  test('are denied when a newer version has written the ledger, which is not understood', async () => {
    const { lock, write } = await memberOf()
    const held = lock()
    await held.acquireShared()
    await write({ ...share('a'), revision: 9, terminated: ['e1'] })
    expect(held.hasShare).toBe(true)
    await write({ version: 3 })
    expect(held.hasShare).toBe(false)
    expect(lock().terminated).toEqual(new Set())
  })
})

describe('what is left in the ledger of a target without a lock', () => {
  test('is removed at the next look', async () => {
    const { stored, embedder, write, updates } = await memberOf()
    await write({ ...share('a'), shares: { ...share('a').shares, ...share('b').shares } })
    embedder.tell()
    await settle()
    expect(Object.keys(stored.get('target/app')?.['shares'] as object)).toEqual(['b'])
    updates.length = 0
    embedder.tell()
    expect(updates).toEqual([])
  })

  test('is nothing once the ledger is deleted', async () => {
    const { embedder, write, updates } = await memberOf()
    await write(share('a'))
    await write(undefined)
    embedder.tell()
    expect(updates).toEqual([])
  })

  test('of others is no concern, and what has a lock is left to the lock', async () => {
    const { embedder, lock, write, updates } = await memberOf()
    await write(share('b'))
    embedder.tell()
    expect(updates).toEqual([])
    await lock().acquireShared()
    updates.length = 0
    embedder.tell()
    expect(updates).toEqual([])
  })

  test('and cannot be removed is reported', async () => {
    const { connection, embedder, errors, time, write } = await memberOf()
    await write(share('a'))
    connection.partition('writes')
    embedder.tell()
    await time.advance(5_000)
    expect(errors).toEqual(['The coordination did not answer within 5 s.'])
  })
})

describe('a member that has left', () => {
  test('has no timer, no heartbeat and no watcher, and its scale calls are aborted', async () => {
    for (const embedded of [false, true]) {
      const { time, member, embedder, stored } = await memberOf({ embedded })
      await member.close()
      expect([time.pending, [...stored], embedder.watchers.size, member.fence.aborted]).toEqual([
        0,
        [],
        0,
        true,
      ])
    }
  })

  test('during a pause leaves no timer either', async () => {
    const { clock, time, member } = await memberOf()
    clock.stop()
    await time.advance(10_000)
    member.check()
    await member.close()
    clock.continue()
    await settle()
    expect(time.pending).toBe(0)
  })

  test('hears of nothing while it leaves, and reports no errors', async () => {
    const it = await memberOf({ embedded: false })
    it.lock()
    it.connection.latency = () => 100
    const closed = it.member.close()
    it.changes = 0
    await it.write({ ...EMPTY, terminated: ['e1'] })
    it.member.failed(new Error('late'))
    await it.time.advance(1_000)
    await closed
    expect([it.changes, it.errors]).toEqual([0, []])
  })
})
