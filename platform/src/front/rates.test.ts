import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { sessionIdOf } from '../plugins/session-token.ts'
import { createApiRates, type ApiRates } from './rates.ts'

const PROXY = '10.0.0.1'

function request(address: string, headers: Record<string, string> = {}): IncomingMessage {
  return { headers, socket: { remoteAddress: address } } as unknown as IncomingMessage
}

function setUp(): { rates: ApiRates; later(ms: number): void } {
  let now = 0
  return {
    rates: createApiRates({
      perSecond: 10,
      trusts: (address) => address === PROXY,
      sessionCookie: 'fp_session',
      now: () => now,
    }),
    later: (ms) => void (now += ms),
  }
}

/** The token of a user's nth session, and its id. */
function session(user: string, n = 0): { token: string; id: string } {
  const token = `fp_${`${user}_${n}`.padEnd(43, '-')}`
  return { token, id: sessionIdOf(token) }
}

/** How many of a thousand concurrent requests are admitted. */
function through(rates: ApiRates, asked: IncomingMessage): number {
  let count = 0
  for (let n = 0; n < 1_000; n++) if (rates.take(asked)!.wait === 0) count++
  return count
}

describe('the rate of one client', () => {
  it('allows a burst, then so many requests per second', () => {
    const { rates, later } = setUp()
    const stranger = request('192.0.2.1')
    expect(through(rates, stranger)).toBe(60)
    expect(rates.take(stranger)).toMatchObject({ wait: 1, remaining: 0, reset: 12 })
    later(1_000)
    expect(through(rates, stranger)).toBe(5)
    later(60 * 60_000)
    expect(through(rates, stranger)).toBe(60)
  })

  it('does not affect others', () => {
    const { rates } = setUp()
    through(rates, request('192.0.2.1'))
    expect(through(rates, request('192.0.2.2'))).toBe(60)
  })

  it('is shared by a whole IPv6 network', () => {
    const { rates } = setUp()
    expect(through(rates, request('2001:db8::1'))).toBe(60)
    expect(through(rates, request('2001:db8::ffff'))).toBe(0)
  })

  it('counts 127.0.4.1 to 127.0.4.70 as one client', () => {
    const { rates } = setUp()
    const all = Array.from({ length: 70 }, (_, n) => through(rates, request(`127.0.4.${n + 1}`)))
    expect(all.reduce((sum, count) => sum + count)).toBe(through(setUp().rates, request('127.0.0.1')))
  })

  it('is separate for each user on this machine: clients without a session cannot lock users out', () => {
    const { rates } = setUp()
    const { token, id } = session('ann')
    const ann = request('127.0.0.1', { authorization: `Bearer ${token}` })
    rates.remember(id, 'u_ann')
    through(rates, request('127.0.0.1', { authorization: 'Bearer wrong' }))
    expect(rates.take(request('127.0.0.1'))!.wait).toBeGreaterThan(0)
    expect(through(rates, ann)).toBe(120)
  })

  it('is shared by all sessions and addresses of one user', () => {
    const { rates } = setUp()
    let count = 0
    for (let n = 0; n < 5; n++) {
      const { token, id } = session('ann', n)
      rates.remember(id, 'u_ann')
      count += through(rates, request(`192.0.2.${n}`, { cookie: `fp_session=${token}; theme=dark` }))
    }
    expect(count).toBe(120)
  })

  it('is also limited for all accounts at one address together', () => {
    const { rates } = setUp()
    let all = 0
    for (let n = 0; n < 50; n++) {
      const { token, id } = session(`${n}`)
      rates.remember(id, `u_${n}`)
      all += through(rates, request('192.0.2.1', { authorization: `Bearer ${token}` }))
    }
    expect(all).toBe(480)
  })

  it('is that of the client behind a trusted proxy, and other proxies are not believed', () => {
    const { rates } = setUp()
    const via = (address: string, told: string) => request(address, { 'x-forwarded-for': told })
    through(rates, via(PROXY, '198.51.100.1, 192.0.2.1'))
    expect(rates.take(via(PROXY, '198.51.100.2, 192.0.2.1'))!.wait).toBeGreaterThan(0)
    expect(rates.take(via(PROXY, '192.0.2.2'))!.wait).toBe(0)
    through(rates, via('192.0.2.3', '198.51.100.1'))
    expect(rates.take(via('192.0.2.3', '198.51.100.2'))!.wait).toBeGreaterThan(0)
  })

  it('is not limited if the admin turns the limit off', () => {
    const rates = createApiRates({ perSecond: 0, trusts: () => false })
    expect(rates.take(request('192.0.2.1'))).toBeUndefined()
  })

  it('is the user’s whatever other cookies there are, and `X-Fp-Session` names one of two sessions', () => {
    const { rates } = setUp()
    const [ann, eve] = [session('ann'), session('eve')]
    rates.remember(ann.id, 'u_ann')
    rates.remember(eve.id, 'u_eve')
    const payer = (cookie: string, named?: string) =>
      rates.payerOf(request('192.0.2.1', { cookie, ...(named && { 'x-fp-session': named }) })).key
    expect(payer(`a=1; fp_session=${ann.token}; b=2`)).toBe('user u_ann')
    expect(payer(`fp_session=${ann.token}; fp_session=unknown`)).toBe('user u_ann')
    const both = `fp_session=${eve.token}; fp_session=${ann.token}`
    expect([payer(both, ann.id), payer(both, eve.id)]).toEqual(['user u_ann', 'user u_eve'])
    expect([payer(both), payer('theme=dark')]).toEqual(['address 192.0.2.1', 'address 192.0.2.1'])
  })

  it('stays that of a user when another has thousands of sessions', () => {
    const { rates } = setUp()
    const { token, id } = session('ann')
    rates.remember(id, 'u_ann')
    for (let n = 0; n < 10_001; n++) rates.remember(session('eve', n).id, 'u_eve')
    const payer = (token: string) =>
      rates.payerOf(request('192.0.2.1', { authorization: `Bearer ${token}` })).key
    expect(payer(token)).toBe('user u_ann')
    expect(payer(session('eve', 10_000).token)).toBe('user u_eve')
    expect(payer(session('eve', 0).token)).toBe('address 192.0.2.1')
  })

  it('is the user’s that the API has found, without a memory of the session', () => {
    const { rates } = setUp()
    expect(rates.take(request('192.0.2.1'), 1, 'u_ann')!.payer.key).toBe('user u_ann')
  })
})
