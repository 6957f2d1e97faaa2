import { expect, test } from 'vitest'
import { Events } from '../events.ts'
import { createObserver, createPublisher } from './activation.ts'

test('owners get codes of the table of errors, not those of the scaler', () => {
  const events = new Events((error) => {
    throw error
  })
  const codes: string[] = []
  events.on('app.failed', ({ failure }) => codes.push(failure.code))
  const observer = createObserver(createPublisher(events, () => 'u_ann'))
  for (const code of ['SCALER_SCALE_FAILED', 'FP_CLUSTER_FULL'])
    observer.failed?.('app.1.0', { code, message: 'It broke.' })
  expect(codes).toEqual(['FP_INTERNAL', 'FP_CLUSTER_FULL'])
})

test('an event is published without an owner if the owner cannot be looked up', async () => {
  const events = new Events((error) => {
    throw error
  })
  const { promise, resolve } = Promise.withResolvers<string | null>()
  events.on('app.slept', ({ userId }) => resolve(userId))
  const observer = createObserver(createPublisher(events, () => Promise.reject(new Error('no database'))))
  observer.asleep?.('app.1.0')
  expect(await promise).toBeNull()
})
