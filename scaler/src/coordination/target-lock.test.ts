import { describe, expect, test } from 'vitest'
import { LockWorld as World } from '../../test/lock-world.ts'
import { settle } from '../drivers/fake/index.ts'
import { outdated } from '../errors.ts'
import { EMPTY, withShare, written } from './ledger.ts'

const broken = (): Promise<never> => Promise.reject(new Error('no answer'))
const code = (expected: string) => expect.objectContaining({ code: expected })

describe('a shared lock', () => {
  test('is granted by the ledger; while it is asked for, all wait for the same answer', async () => {
    const world = new World()
    const { lock } = world.join('a')
    const asked = lock.acquireShared()
    expect([lock.hasShare, asked === undefined]).toEqual([false, false])
    expect(lock.acquireShared()).toBe(asked)
    await asked
    expect([lock.hasShare, world.shares, world.updates]).toEqual([true, ['a'], 1])
    expect(lock.acquireShared()).toBeUndefined()
    expect([lock.leads, lock.replicas]).toEqual([true, 1])
  })

  test('comes with the places that its requests wait for, which are gone with it', async () => {
    const it = new World().join('a')
    it.demand = { ...it.demand, waiting: 3 }
    await it.lock.acquireShared()
    expect(it.lock.places('e1', 2)).toBe(2)
    await it.lock.release()
    expect(it.lock.places('e1', 2)).toBe(0)
  })

  test('is waited for, without asking again and again, while another activator puts the target to sleep', async () => {
    const world = new World()
    const [one, two] = [world.join('a'), world.join('b')]
    expect(await one.lock.tryExclusive()).toBe(true)
    const asked = two.lock.acquireShared()
    await settle()
    const { updates } = world
    one.lock.news(world.stored)
    two.lock.news(world.stored)
    await settle()
    expect([two.lock.hasShare, world.updates]).toEqual([false, updates])
    await one.lock.release()
    await asked
    expect(two.lock.hasShare).toBe(true)
  })

  test('is granted although a notification without it comes first', async () => {
    const world = new World()
    const { lock, member } = world.join('a')
    const answer = Promise.withResolvers<void>()
    member.onWrite = () => answer.promise
    const asked = lock.acquireShared()
    lock.news({ ...EMPTY, born: 'x', revision: 1 })
    answer.resolve()
    await asked
    expect(lock.hasShare).toBe(true)
  })

  test('that is not wanted any more is not taken, and what was taken meanwhile does not count', async () => {
    const world = new World()
    const early = world.join('a')
    const write = Promise.withResolvers<void>()
    early.member.onWrite = () => write.promise
    void early.lock.acquireShared()
    early.lock.cancel()
    write.resolve()
    await settle()
    expect([world.shares, early.lock.hasShare]).toEqual([[], false])

    const late = world.join('b')
    const answer = Promise.withResolvers<void>()
    late.member.onAnswer = () => answer.promise
    const asked = expect(late.lock.acquireShared()).rejects.toThrow('cancelled')
    await settle()
    late.lock.cancel()
    answer.resolve()
    await asked
    await settle()
    expect(late.lock.hasShare).toBe(false)
    late.member.onAnswer = undefined
    // What the store executed is undone.
    await late.lock.release()
    expect(world.shares).toEqual([])
  })

  test('is refused on a retired target, and by a ledger of a newer version', async () => {
    const { lock } = new World({ ...EMPTY, retired: true }).join('a')
    await expect(lock.acquireShared()).rejects.toEqual(code('SCALER_RETIRED'))
    const other = new World().join('a')
    other.member.onWrite = () => Promise.reject(outdated())
    await expect(other.lock.acquireShared()).rejects.toEqual(code('SCALER_OUTDATED'))
  })

  test('is not asked for while the others may not respect it, and asked for again once they do', async () => {
    const world = new World()
    const { lock, member } = world.join('a')
    member.isTrusted = false
    const asked = lock.acquireShared()
    lock.recheck()
    await settle()
    expect(world.updates).toBe(0)
    member.isTrusted = true
    lock.recheck()
    lock.recheck()
    await asked
    expect(world.updates).toBe(1)
  })

  test('is asked for again after an update that failed', async () => {
    const { lock, member, told } = new World().join('a')
    member.onWrite = broken
    const asked = lock.acquireShared()
    await settle()
    expect([lock.hasShare, told]).toEqual([false, ['failed']])
    member.onWrite = undefined
    lock.recheck()
    await asked
    expect(lock.hasShare).toBe(true)
  })
})

describe('a share that the ledger does not have any more', () => {
  test('is not used, and is asked for again only while there are requests', async () => {
    for (const demand of [{ load: { e1: 1 } }, { waiting: 1 }, {}]) {
      const world = new World()
      const it = world.join('a')
      await it.lock.acquireShared()
      world.stored = { ...world.stored!, shares: {}, revision: 9 }
      it.lock.news(world.stored)
      expect(it.lock.hasShare).toBe(false)
      it.demand = { ...it.demand, ...demand }
      const { updates } = world
      it.lock.recheck()
      await settle()
      expect([it.lock.hasShare, world.updates - updates]).toEqual(
        'load' in demand || 'waiting' in demand ? [true, 1] : [false, 0],
      )
    }
  })

  test('is granted to who has asked for it in vain before', async () => {
    const { lock, member } = new World().join('a')
    await lock.acquireShared()
    lock.deny()
    member.isTrusted = false
    const asked = lock.acquireShared()
    member.isTrusted = true
    lock.recheck()
    await asked
    expect(lock.hasShare).toBe(true)
  })

  test('and that an update brings back late is removed, if nothing uses the target', async () => {
    const world = new World()
    const { lock } = world.join('a')
    await lock.acquireShared()
    lock.deny()
    lock.recheck()
    await settle()
    expect(world.shares).toEqual([])

    const never = new World(written(withShare(EMPTY, 'a')))
    never.join('a').lock.recheck()
    await settle()
    expect(never.shares).toEqual([])
  })

  test('is kept as long as it has the former id, and is renewed under the new one', async () => {
    const world = new World()
    const { lock, member } = world.join('a')
    await lock.acquireShared()
    member.id = 'a2'
    lock.news(world.stored)
    expect([lock.hasShare, lock.leads]).toEqual([true, false])
    expect(await lock.report({ load: 1, drained: [] })).toBe(false)
    expect([await lock.remove(['e1']), world.updates]).toEqual([[], 1])
    lock.recheck()
    await settle()
    expect(world.shares).toEqual(['a', 'a2'])
    world.die('a')
    expect(lock.leads).toBe(true)
    const { updates } = world
    lock.recheck()
    await settle()
    expect(world.updates).toBe(updates)
  })
})

describe('the exclusive lock', () => {
  test('is not given while another activator has a share; the own one is lost, and can be had again', async () => {
    const world = new World()
    const [one, two] = [world.join('a'), world.join('b')]
    await one.lock.acquireShared()
    await two.lock.acquireShared()
    expect(await one.lock.tryExclusive()).toBe(false)
    expect([world.shares, one.lock.hasShare]).toEqual([['b'], false])
    await one.lock.acquireShared()
    expect(one.lock.hasShare).toBe(true)
  })

  test('ends the use of the own share at once', async () => {
    const { lock } = new World().join('a')
    await lock.acquireShared()
    const exclusive = lock.tryExclusive()
    expect(lock.hasShare).toBe(false)
    expect(await exclusive).toBe(true)
    expect(lock.hasShare).toBe(false)
  })

  test('is not asked for by an activator that the others may count as dead', async () => {
    const world = new World()
    const { lock, member } = world.join('a')
    member.isTrusted = false
    await expect(lock.tryExclusive()).rejects.toEqual(code('SCALER_CUT_OFF'))
    expect(world.updates).toBe(0)
  })

  test.each(['is not trusted any more', 'has a new id'])(
    'that is granted to an activator that meanwhile %s does not count, and is released',
    async (event) => {
      const world = new World()
      const { lock, member } = world.join('a')
      member.onAnswer = async () => {
        member.onAnswer = undefined
        if (event === 'has a new id') member.id = 'a2'
        else member.isTrusted = false
      }
      expect(await lock.tryExclusive()).toBe(false)
      await settle()
      if (event !== 'has a new id') expect(world.stored?.exclusive).toBeNull()
      expect(lock.hasShare).toBe(false)
    },
  )

  test.each(['refused', 'unknown'])(
    'that is %s does not keep a cut off activator from using the target',
    async (result) => {
      const world = new World()
      const [one, two] = [world.join('a'), world.join('b')]
      if (result === 'refused') await two.lock.acquireShared()
      else one.member.onWrite = broken
      const exclusive = one.lock.tryExclusive()
      one.member.standing = 'cutOff'
      expect(one.lock.hasShare).toBe(false)
      if (result === 'refused') expect(await exclusive).toBe(false)
      else await expect(exclusive).rejects.toThrow('no answer')
      expect(one.lock.hasShare).toBe(true)
    },
  )
})

describe('retiring', () => {
  test('ends the own share, tells the others, and waits until none has a share', async () => {
    const world = new World()
    const [one, two] = [world.join('a'), world.join('b')]
    await one.lock.acquireShared()
    await two.lock.acquireShared()
    let result: boolean | undefined
    void one.lock.retire().then((used) => (result = used))
    expect(one.lock.hasShare).toBe(false)
    await settle()
    expect([result, world.shares, two.told]).toEqual([undefined, ['b'], ['retired']])
    await two.lock.release()
    await settle()
    expect(result).toBe(true)
    await one.lock.release()
    expect(world.stored).toBeUndefined()
  })

  test('waits for nobody if nobody else has a share', async () => {
    const world = new World()
    const { lock } = world.join('a')
    await lock.acquireShared()
    expect(await lock.retire()).toBe(false)
    expect(world.stored).toMatchObject({ retired: true, shares: {} })
  })

  test('goes on when the last other activator has died, or when the signal aborts', async () => {
    for (const event of ['dies', 'aborts']) {
      const world = new World(written(withShare(EMPTY, 'b')))
      const { lock } = world.join('a')
      const abort = new AbortController()
      const retired = lock.retire(abort.signal)
      await settle()
      if (event === 'aborts') abort.abort()
      else {
        world.die('b')
        lock.recheck()
      }
      expect(await retired).toBe(true)
    }
  })

  test('keeps the document while another activator still has a share, and others delete nothing', async () => {
    const world = new World(written(withShare(EMPTY, 'b')))
    const [one, two] = [world.join('a'), world.join('b')]
    await one.lock.retire(AbortSignal.abort())
    await one.lock.release()
    expect(world.shares).toEqual(['b'])
    await two.lock.acquireShared()?.catch(() => undefined)
    await two.lock.release()
    expect(world.stored).toMatchObject({ retired: true, shares: {} })
  })

  test('is noticed by the own updates if no notification comes', async () => {
    const world = new World()
    const [one, two] = [world.join('a'), world.join('b')]
    await two.lock.acquireShared()
    two.member.isDeaf = true
    await one.lock.retire(AbortSignal.abort())
    expect(two.told).toEqual([])
    await two.lock.report({ load: 0, drained: [] })
    expect(two.told).toEqual(['retired'])
  })
})

describe('a release', () => {
  test('gives the share up at once, and keeps what the leader has decided', async () => {
    const world = new World()
    const { lock } = world.join('a')
    await lock.acquireShared()
    await lock.report({ load: 0, drained: [], lead: { replicas: 3, draining: [] } })
    const released = lock.release()
    expect(lock.hasShare).toBe(false)
    await released
    expect(world.stored).toMatchObject({ shares: {}, replicas: 3, terminated: [] })
  })

  test('writes nothing if there is nothing to release', async () => {
    const world = new World()
    await world.join('a').lock.release()
    expect(world.updates).toBe(0)
  })

  test('ends a pending request for a share', async () => {
    const world = new World({ ...EMPTY, exclusive: { id: 'b' } })
    const { lock } = world.join('a')
    const asked = expect(lock.acquireShared()).rejects.toThrow('cancelled')
    await settle()
    await lock.release()
    await asked
  })

  test('records stopped endpoints, again if the update failed, and then not any more', async () => {
    const world = new World()
    const { lock, member } = world.join('a')
    member.onWrite = broken
    await lock.release(['e1'])
    expect(world.stored).toBeUndefined()
    member.onWrite = undefined
    await lock.release()
    expect(world.stored?.terminated).toEqual(['e1'])
    const { updates } = world
    await lock.release()
    expect(world.updates).toBe(updates)
    expect(lock.terminated).toEqual(new Set(['e1']))
  })

  test('for the last time lets the lock be forgotten, but not before the store has executed it', async () => {
    const world = new World()
    const { lock, member, told } = world.join('a')
    await lock.acquireShared()
    await lock.release()
    expect(told).toEqual([])
    await lock.acquireShared()
    member.onWrite = broken
    lock.dispose()
    await settle()
    expect([told, lock.hasShare]).toEqual([['failed'], false])
    member.onWrite = undefined
    lock.recheck()
    await settle()
    expect([told, world.shares]).toEqual([['failed', 'forget'], []])
  })
})

describe('a report', () => {
  const lead = { replicas: 2, draining: ['e1'] }

  test('of an activator without a share is not written', async () => {
    const world = new World()
    const { lock } = world.join('a')
    expect(await lock.report({ load: 1, drained: [], lead })).toBe(false)
    expect(await lock.remove(['e1'])).toEqual([])
    expect(world.updates).toBe(0)
    await lock.acquireShared()
    await lock.release()
    expect(await lock.report({ load: 1, drained: [] })).toBe(false)
    expect(world.updates).toBe(2)
  })

  test('says who leads: only the leader decides and stops endpoints', async () => {
    const world = new World()
    const [one, two] = [world.join('a'), world.join('b')]
    for (const { lock } of [one, two]) await lock.acquireShared()
    expect(await two.lock.report({ load: 2, drained: [], lead: { replicas: 9, draining: [] } })).toBe(false)
    expect(await one.lock.report({ load: 1, drained: ['e1'], lead })).toBe(true)
    expect([one.lock.othersLoad, two.lock.replicas, two.lock.draining]).toEqual([2, 2, new Set(['e1'])])
    expect(await one.lock.remove(['e1'])).toEqual([])
    await two.lock.report({ load: 2, drained: ['e1'] })
    expect(await two.lock.remove(['e1'])).toEqual([])
    expect(await one.lock.remove(['e1', 'e2'])).toEqual(['e1'])
    expect(await two.lock.remove(['e1'])).toEqual([])
  })

  test('of the leader applies here at once, until the ledger is updated or the update has failed', async () => {
    const { lock, member } = new World().join('a')
    await lock.acquireShared()
    const write = Promise.withResolvers<void>()
    member.onWrite = () => write.promise
    const report = lock.report({ load: 0, drained: [], lead })
    expect(lock.draining).toEqual(new Set(['e1']))
    write.reject(new Error('no answer'))
    await expect(report).rejects.toThrow('no answer')
    expect(lock.draining).toEqual(new Set())
  })

  test('does not end a later decision', async () => {
    const { lock, member } = new World().join('a')
    await lock.acquireShared()
    const writes = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let count = 0
    member.onWrite = () => writes[count++]!.promise
    const first = lock.report({ load: 0, drained: [], lead })
    const second = lock.report({ load: 0, drained: [], lead: { replicas: 2, draining: ['e2'] } })
    writes[0]!.resolve()
    await first
    expect(lock.draining).toEqual(new Set(['e2']))
    writes[1]!.resolve()
    await second
    expect(lock.draining).toEqual(new Set(['e2']))
  })

  test('that an endpoint is dead reaches all activators, and may fail unnoticed', async () => {
    const world = new World()
    const [one, two] = [world.join('a'), world.join('b')]
    one.lock.reportDead('e1', true)
    await settle()
    expect([one.lock.dead, two.lock.dead]).toEqual([['e1'], ['e1']])
    one.member.onWrite = broken
    one.lock.reportDead('e2', true)
    await settle()
    expect(one.told).toEqual(['failed'])
  })
})
