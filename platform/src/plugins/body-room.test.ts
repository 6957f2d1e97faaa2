import { expect, it } from 'vitest'
import { BODY_LIMITS } from './body-limits.ts'
import { BodyRoom, type BodyPlace } from './body-room.ts'

const MB = 1024 * 1024
const full = (who: string): unknown =>
  expect.objectContaining({ code: 'FP_UNAVAILABLE', message: expect.stringMatching(`^${who}`) })

it('announced bytes count for their user, until the body is released', () => {
  const room = new BodyRoom()
  const bodies = Array.from({ length: 4 }, () => room.open('ann', 2 * MB))
  expect(() => room.open('ann', 1)).toThrow(full('You are'))
  bodies[0]!.release()
  room.open('ann', 2 * MB)
})

it('bytes that have arrived count for all users, and who has one body gets more room', () => {
  const room = new BodyRoom()
  const largest = (userId: string): BodyPlace => {
    const body = room.open(userId, BODY_LIMITS.files)
    body.add(BODY_LIMITS.files)
    return body
  }
  const bodies = Array.from({ length: 32 }, (_, n) => largest(`u${n % 8}`))
  for (let n = 0; n < 4; n++) largest(`n${n}`)
  expect(() => largest('n0')).toThrow(full('Others are'))
  expect(() => {
    for (let n = 4; n < 20; n++) largest(`n${n}`)
  }).toThrow(full('Others are'))
  for (const body of bodies.slice(0, 8)) body.release()
  largest('one more')
})
