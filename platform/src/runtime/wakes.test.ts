import { QueueFull, ScalerError } from '@fp/scaler'
import { describe, expect, test } from 'vitest'
import { publicError } from '../ingress/failures.ts'
import { wakeLimits } from './wakes.ts'

describe('wakes', () => {
  test('one user never has all places, on any machine', () => {
    for (const cores of [1, 2, 3, 8, 64])
      for (const onThisMachine of [false, true]) {
        const { atOnce, atOncePerGroup = atOnce } = wakeLimits({ onThisMachine, ownerOf: () => 'u', cores })
        expect(atOncePerGroup).toBeGreaterThan(0)
        expect(atOncePerGroup).toBeLessThan(atOnce)
      }
  })

  test('that are refused name the limit and the time to retry', () => {
    const cause = new QueueFull('key', 200)
    const told = publicError(new ScalerError('SCALER_WAKES_FULL', 'Full.', { retryAfter: 2, cause }))
    expect(told).toMatchObject({
      code: 'FP_QUEUE_FULL',
      statusCode: 503,
      message: expect.stringContaining('limit wakes_waiting_per_account'),
      headers: { 'retry-after': '2' },
    })
  })
})
