import { expect, it } from 'vitest'
import { createLoginQueue } from './login-queue.ts'

/** Work that the test ends. */
function work() {
  const begun: string[] = []
  const ends: (() => void)[] = []
  return {
    begun,
    named: (name: string) => () => {
      begun.push(name)
      return new Promise<void>((resolve) => ends.push(resolve))
    },
    async endAll() {
      await new Promise((resolve) => setImmediate(resolve))
      for (let i = 0; i < ends.length; i++) {
        ends[i]!()
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
  }
}

it('a flood of log-ins from one address, whatever the names, delays another address by one turn', async () => {
  const queue = createLoginQueue()
  const { begun, named, endAll } = work()
  for (let n = 0; n < 20; n++)
    void queue.login({ address: '10.0.0.1', name: `name${n}` }, named(`flood ${n}`))
  void queue.login({ address: '10.0.0.2', name: 'ada' }, named('ada'))
  await endAll()
  expect(begun.indexOf('ada')).toBe(1)
})

it('behind one address, guesses at one name delay another name by one turn', async () => {
  const queue = createLoginQueue()
  const { begun, named, endAll } = work()
  for (let n = 0; n < 10; n++) void queue.login({ address: '10.0.0.1', name: 'Ada' }, named(`guess ${n}`))
  void queue.login({ address: '10.0.0.1', name: 'bob' }, named('bob'))
  await endAll()
  expect(begun.indexOf('bob')).toBeLessThanOrEqual(2)
})

it('the addresses of one IPv6 network share one limit, which the error names; others are not affected', async () => {
  const queue = createLoginQueue()
  const { begun, named } = work()
  const signups = Array.from({ length: 102 }, (_, n) =>
    queue.signup({ address: `2001:db8::${n.toString(16)}` }, named(`signup ${n}`)),
  )
  await expect(signups.at(-1)).rejects.toMatchObject({
    code: 'FP_QUEUE_FULL',
    statusCode: 503,
    details: { limit: 'logins_waiting_per_address', most: 100 },
    headers: { 'retry-after': '2' },
  })
  void queue.login({ address: '2001:db8:0:1::1', name: 'ada' }, named('ada'))
  await new Promise((resolve) => setImmediate(resolve))
  expect(begun).toEqual(['signup 0', 'ada'])
})
