import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createApiRates, type ApiRates } from './rates.ts'

const PROXY = '10.0.0.1'

function request(address: string, headers: Record<string, string> = {}): IncomingMessage {
  return { headers, socket: { remoteAddress: address } } as unknown as IncomingMessage
}

function setUp(): { rates: ApiRates; later(ms: number): void } {
  let now = 0
  return {
    rates: createApiRates({ perSecond: 10, trusts: (address) => address === PROXY, now: () => now }),
    later: (ms) => void (now += ms),
  }
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
    const ann = request('127.0.0.1', { authorization: 'Bearer ann' })
    rates.remember(ann, 'u_ann')
    through(rates, request('127.0.0.1', { authorization: 'Bearer wrong' }))
    expect(rates.take(request('127.0.0.1'))!.wait).toBeGreaterThan(0)
    expect(through(rates, ann)).toBe(120)
  })

  it('is shared by all sessions and addresses of one user', () => {
    const { rates } = setUp()
    const sessions = Array.from({ length: 5 }, (_, n) =>
      request(`192.0.2.${n}`, { cookie: `fp_session=${n}; theme=dark` }),
    )
    for (const session of sessions) rates.remember(session, 'u_ann')
    expect(sessions.reduce((sum, session) => sum + through(rates, session), 0)).toBe(120)
  })

  it('is also limited for all accounts at one address together', () => {
    const { rates } = setUp()
    let all = 0
    for (let n = 0; n < 50; n++) {
      const session = request('192.0.2.1', { authorization: `Bearer ${n}` })
      rates.remember(session, `u_${n}`)
      all += through(rates, session)
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
})
