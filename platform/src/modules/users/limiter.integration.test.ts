import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testMongo } from '../../../test/database.ts'
import type { Mongo } from '../../plugins/mongo.ts'
import { AttemptStore } from '../attempts/store.ts'
import type { Attempts, Backoff } from '../attempts/types.ts'
import { createLimiter, type Limiter } from './limiter.ts'

let mongo: Mongo & AsyncDisposable
let attempts: Attempts
let limiter: Limiter
beforeAll(async () => {
  mongo = await testMongo()
  attempts = new AttemptStore(mongo.db)
  limiter = createLimiter({ attempts, signupsPerHour: 100 })
})
afterAll(() => mongo[Symbol.asyncDispose]())

/** Acts as if this much time had passed for a key, in ms. */
async function passed(key: string, time: number): Promise<void> {
  const earlier = (field: string): object => ({ $subtract: [field, time] })
  await mongo.db
    .collection<{ _id: string }>('attempts')
    .updateOne({ _id: key }, [
      { $set: { blocked_until: earlier('$blocked_until'), resets_at: earlier('$resets_at') } },
    ])
}

describe('a key that backs off', () => {
  const backoff: Backoff = { free: 3, first: 10_000, longest: 60_000, forgottenAfter: 500_000 }
  /** Seconds until the next attempt, about. */
  const wait = ({ retryAt }: { retryAt: Date }): number =>
    Math.round((retryAt.getTime() - Date.now()) / 10_000) * 10

  it('waits twice as long after each attempt, up to the longest wait', async () => {
    const waits: number[] = []
    for (let round = 0; round < 8; round++) {
      const attempt = await attempts.admit('doubling', backoff)
      expect(attempt.admitted).toBe(true)
      waits.push(Math.max(0, wait(attempt)))
      await passed('doubling', 60_000)
    }
    expect(waits).toEqual([0, 0, 10, 20, 40, 60, 60, 60])
  })

  it('does not wait longer because of attempts meanwhile', async () => {
    for (let round = 0; round < 3; round++) await attempts.admit('asked', backoff)
    for (let round = 0; round < 5; round++) {
      const refused = await attempts.admit('asked', backoff)
      expect([refused.admitted, wait(refused)]).toEqual([false, 10])
    }
    await passed('asked', 10_500)
    expect(await attempts.admit('asked', backoff)).toMatchObject({ admitted: true })
  })

  it('starts again without a wait after a long time without attempts', async () => {
    for (let round = 0; round < 3; round++) await attempts.admit('quiet', backoff)
    await passed('quiet', 520_000)
    for (let round = 0; round < 2; round++) {
      const attempt = await attempts.admit('quiet', backoff)
      expect([attempt.admitted, wait(attempt)]).toEqual([true, -0])
    }
  })
})

it('counts log-ins that succeed against their address too', async () => {
  let done = 0
  const logIn = async (): Promise<void> => {
    const attempt = await limiter.login(`user${done % 10}`, '192.0.2.1')
    await attempt.succeeded([])
    done++
  }
  const all = (async () => {
    for (;;) await logIn()
  })()
  await expect(all).rejects.toMatchObject({
    code: 'FP_TOO_MANY_REQUESTS',
    headers: { 'retry-after': expect.any(String) },
  })
  expect(done).toBe(300)
  await expect(limiter.login('user1', '192.0.2.2')).resolves.toBeDefined()
})

it('counts the addresses of one IPv6 network as one', async () => {
  for (let round = 0; round < 5; round++) await limiter.login('v6', `2001:db8::${round}`)
  await expect(limiter.login('v6', '2001:db8::99')).rejects.toMatchObject({ code: 'FP_TOO_MANY_REQUESTS' })
  await expect(limiter.login('v6', '2001:db8:0:1::1')).resolves.toBeDefined()
})
