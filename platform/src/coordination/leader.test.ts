import { FakeClock, settle } from '@fp/scaler/fake'
import { expect, test } from 'vitest'
import type { Lease, LeaseState } from './elector.ts'
import { alwaysLeader, createLeader, type Leader } from './leader.ts'

function memoryLease(): Lease {
  let stored: (LeaseState & { revision: number }) | undefined
  return {
    read: async () => stored,
    async write(next, revision) {
      if (stored?.revision !== revision) throw new Error('conflict')
      stored = { ...next, revision: (revision ?? 0) + 1 }
    },
  }
}

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve()))

test('all work of the leader runs in one process, and in another one with a later term when that stops', async () => {
  const clock = new FakeClock()
  const lease = memoryLease()
  const log: string[] = []
  const join = (identity: string): Leader => {
    const leader = createLeader({ lease, identity, clock, random: () => 0 })
    for (const name of ['refill', 'logs'])
      leader.run(name, async (signal, term) => {
        log.push(`${identity} begins ${name} in term ${term}`)
        await untilAborted(signal)
        log.push(`${identity} ends ${name}`)
      })
    return leader
  }
  const a = join('a')
  await settle()
  const b = join('b')
  await clock.advance(20_000)
  expect(log.splice(0)).toEqual(['a begins refill in term 1', 'a begins logs in term 1'])
  await a[Symbol.asyncDispose]()
  expect(log.splice(0)).toEqual(['a ends refill', 'a ends logs'])
  await clock.advance(2_000)
  expect(log).toEqual(['b begins refill in term 2', 'b begins logs in term 2'])
  await b[Symbol.asyncDispose]()
  expect(clock.pending).toBe(0)
})

test('the lead is given up only when all work has ended', async () => {
  const clock = new FakeClock()
  const lease = memoryLease()
  const slow = Promise.withResolvers<void>()
  const leader = createLeader({ lease, identity: 'a', clock })
  leader.run('slow', () => slow.promise)
  leader.run('quick', untilAborted)
  await settle()
  const stopped = leader[Symbol.asyncDispose]()
  await clock.advance(1_000)
  expect((await lease.read(new AbortController().signal))!.holder).toBe('a')
  slow.resolve()
  await stopped
  expect((await lease.read(new AbortController().signal))!.holder).toBe('')
})

test('a process without work does not lead', async () => {
  const clock = new FakeClock()
  const lease = memoryLease()
  const idle = createLeader({ lease, identity: 'idle', clock })
  await clock.advance(60_000)
  expect(await lease.read(new AbortController().signal)).toBeUndefined()
  await idle[Symbol.asyncDispose]()
})

test.each(['created', 'always'] as const)(
  'work of a leader (%s) that fails is run again, and ends alone',
  async (kind) => {
    const clock = new FakeClock()
    const failures: string[] = []
    const onFailure = (name: string, { message }: Error): void => void failures.push(`${name}: ${message}`)
    const leader =
      kind === 'always'
        ? alwaysLeader({ clock, onFailure })
        : createLeader({ lease: memoryLease(), identity: 'a', clock, onFailure })
    let runs = 0
    let other = 0
    leader.run('other', async (signal) => {
      other++
      await untilAborted(signal)
    })
    await settle()
    // The process leads already.
    const failing = leader.run('failing', async (signal) => {
      if (++runs < 3) throw new Error(`run ${runs}`)
      await untilAborted(signal)
    })
    await clock.advance(1_000)
    expect(runs).toBe(2)
    await clock.advance(2_000)
    expect([runs, failures]).toEqual([3, ['failing: run 1', 'failing: run 2']])
    await failing[Symbol.asyncDispose]()
    await clock.advance(60_000)
    expect([runs, other]).toEqual([3, 1])
    await leader[Symbol.asyncDispose]()
    expect(clock.pending).toBe(0)
  },
)
