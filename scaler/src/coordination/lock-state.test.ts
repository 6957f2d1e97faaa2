import { expect, test } from 'vitest'
import { EMPTY } from './ledger.ts'
import { maySend, type LockState, type Standing } from './lock-state.ts'

const STATES: readonly LockState[] = ['none', 'wanted', 'shared', 'denied', 'exclusive']
const sending = (standing: Standing, ledger = EMPTY): readonly LockState[] =>
  STATES.filter((state) => maySend(state, standing, ledger))

test('requests are sent only with a share while the others respect it', () => {
  expect(sending('trusted')).toEqual(['shared'])
})

test('no request is sent while it is unknown how long the process was stopped, or whether the endpoints exist', () => {
  expect([sending('checking'), sending('blind')]).toEqual([[], []])
})

test('while the store does not answer, a share is kept, and a target without one is used unless it is refused', () => {
  expect(sending('cutOff')).toEqual(['none', 'wanted', 'shared'])
})

test('while the store does not answer, nothing is sent without a share to a target that is retired or put to sleep', () => {
  expect(sending('cutOff', { ...EMPTY, retired: true })).toEqual(['shared'])
  expect(sending('cutOff', { ...EMPTY, exclusive: { id: 'other' } })).toEqual(['shared'])
})
