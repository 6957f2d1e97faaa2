import { expect, test } from 'vitest'
import { DeployQueue } from './deploy-queue.ts'

const running = new AbortController().signal

test('deployments of one user that hang leave turns to the deployments of others', async () => {
  const queue = new DeployQueue()
  const begun: string[] = []
  const turns = Array.from({ length: 6 }, async (_, n) => {
    queue.add(`ann ${n}`, 'u_ann')
    const turn = await queue.turn(`ann ${n}`, running)
    begun.push(`ann ${n}`)
    return turn
  })
  queue.add('bob', 'u_bob')
  expect(await queue.turn('bob', running)).toBeDefined()
  expect(begun).toEqual(['ann 0', 'ann 1', 'ann 2', 'ann 3'])
  ;(await turns[0])?.release()
  await turns[4]
  expect(begun.at(-1)).toBe('ann 4')
})

test('one more than a user may have is refused with the name of the limit, and only to that user', () => {
  const queue = new DeployQueue()
  for (let n = 0; n < 100; n++) queue.add(`ann ${n}`, 'u_ann')
  expect(() => queue.refuseIfFull('u_bob')).not.toThrow()
  expect(() => queue.refuseIfFull('u_ann')).toThrow('deployments_waiting_per_account')
  queue.remove('ann 0')
  expect(() => queue.refuseIfFull('u_ann')).not.toThrow()
})

test('a deployment that is stopped while it waits gets no turn, and no error that would hide why', async () => {
  const queue = new DeployQueue()
  for (let n = 0; n < 4; n++) await queue.turn(`same owner ${n}`, running)
  const stop = new AbortController()
  const turn = queue.turn('one more', stop.signal)
  stop.abort()
  expect(await turn).toBeUndefined()
})
