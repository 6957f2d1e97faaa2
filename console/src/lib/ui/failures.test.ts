import type { App } from '@fp/sdk/wire'
import { expect, test } from 'vitest'
import { failureNote } from './failures.ts'

const at = new Date(2026, 0, 2, 12, 41)
const app = (status: App['status'], code = 'FP_APP_OUT_OF_MEMORY'): App =>
  ({ status, last_failure: { code, message: 'too much', at: at.toISOString() } }) as App
const hour = 3_600_000

test('a list shows that an app ended, for a day after it started again', () => {
  expect(failureNote(app('sleeping'), at.getTime() + hour)).toMatch(/^Ended 12:41.*: too much$/)
  expect(failureNote(app('running'), at.getTime() + 25 * hour)).toBeUndefined()
  expect(failureNote(app('error'), at.getTime() + 48 * hour)).toMatch(/^Ended .*: too much$/)
  expect(failureNote(app('error', 'FP_APP_IMPORT_FAILED'), at.getTime())).toMatch(/^Start failed /)
  expect(failureNote({ ...app('running'), last_failure: null }, at.getTime())).toBeUndefined()
})
