import { expect, it } from 'vitest'
import { createStreamLimit } from './stream-limit.ts'

const tooMany = expect.objectContaining({ code: 'FP_TOO_MANY_STREAMS', headers: { 'retry-after': '5' } })

it('the open event streams of one user, and of all users together, are limited', () => {
  const streams = createStreamLimit({ perKey: 2, inAll: 3, withFirst: 3 })
  const first = streams.open('ann')
  streams.open('ann')
  expect(() => streams.open('ann')).toThrow(tooMany)
  streams.open('bob')
  expect(() => streams.open('bob')).toThrow(tooMany)
  first()
  streams.open('bob')
  expect(() => streams.open('ann')).toThrow(tooMany)
})

it('25 users with 20 streams each leave every other user one', () => {
  const streams = createStreamLimit()
  const ends = Array.from({ length: 25 }, (_, user) =>
    Array.from({ length: 20 }, () => streams.open(`u${user}`)),
  )
  for (let user = 0; user < 500; user++) {
    const end = streams.open(`neighbour${user}`)
    expect(() => streams.open(`neighbour${user}`)).toThrow(tooMany)
    end()
    streams.open(`neighbour${user}`)
  }
  expect(() => streams.open('one more')).toThrow(tooMany)
  ends[0]![0]!()
  streams.open('one more')
  expect(() => streams.open('u0')).toThrow(tooMany)
})
