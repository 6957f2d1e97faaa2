import { expect, it } from 'vitest'
import { createStreamLimit } from './stream-limit.ts'

const tooMany = expect.objectContaining({ code: 'FP_TOO_MANY_STREAMS', headers: { 'retry-after': '5' } })

it('the open event streams of one user, and of all users together, are limited', () => {
  const streams = createStreamLimit({ perKey: 2, inAll: 3 })
  const first = streams.open('ann')
  streams.open('ann')
  expect(() => streams.open('ann')).toThrow(tooMany)
  streams.open('bob')
  expect(() => streams.open('bob')).toThrow(tooMany)
  first()
  streams.open('bob')
  expect(() => streams.open('ann')).toThrow(tooMany)
})
