import { createNodeValidator } from '@fp/sdk/python/node'
import type { Validator } from '@fp/sdk/python'
import { afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Checker } from '../editor/checker.ts'
import { Problems } from './problems.svelte.ts'

/** The platform's own validator, without the worker around it. */
let validator: Validator
beforeAll(async () => {
  validator = await createNodeValidator()
})
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** Problems whose checks the test ends by hand, in any order. */
function open(): { problems: Problems; checks: PromiseWithResolvers<void>[]; asked: string[] } {
  const checks: PromiseWithResolvers<void>[] = []
  const asked: string[] = []
  const checker: Checker = {
    async check(files) {
      asked.push(files['app.py']!)
      const turn = Promise.withResolvers<void>()
      checks.push(turn)
      await turn.promise
      return validator.check(files)
    },
    close: () => undefined,
  }
  const problems = new Problems(checker)
  onTestFinished(() => problems.close())
  return { problems, checks, asked }
}

const GOOD = 'from fastapi import FastAPI\n\napp = FastAPI()\n'
const BAD = 'def f(:\n'
/** Long enough for every answer that can still come. */
const answered = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

test('the first check is at once, later ones half a second after the last change', async () => {
  const { problems, checks, asked } = open()
  problems.check({ 'app.py': GOOD }, null)
  vi.advanceTimersByTime(0)
  expect(asked).toEqual([GOOD])
  checks[0]!.resolve()
  await answered()
  expect(problems.entrypoint).toBe('app:app')
  problems.check({ 'app.py': 'x' }, null)
  vi.advanceTimersByTime(499)
  problems.check({ 'app.py': BAD }, null)
  vi.advanceTimersByTime(499)
  expect(asked).toHaveLength(1)
  vi.advanceTimersByTime(1)
  expect(asked).toEqual([GOOD, BAD])
  checks[1]!.resolve()
  await answered()
  expect(problems.errors).toBe(1)
  expect(problems.items[0]).toMatchObject({ file: 'app.py', line: 1, severity: 'error' })
})

test('the result of an older check is not shown', async () => {
  const { problems, checks } = open()
  problems.check({ 'app.py': BAD }, null)
  vi.advanceTimersByTime(0)
  problems.check({ 'app.py': GOOD }, null)
  vi.advanceTimersByTime(500)
  checks[1]!.resolve()
  await answered()
  expect(problems.entrypoint).toBe('app:app')
  checks[0]!.resolve()
  await answered()
  expect(problems.errors).toBe(0)
})

test('the result for another entrypoint is not shown under the new one', async () => {
  const { problems, checks } = open()
  problems.check({ 'app.py': GOOD }, null)
  vi.advanceTimersByTime(0)
  checks[0]!.resolve()
  await answered()
  expect(problems.entrypoint).toBe('app:app')
  problems.check({ 'app.py': GOOD }, 'other:app')
  expect(problems.entrypoint).toBeUndefined()
})

test('findings of the platform stay until something is typed, errors first', async () => {
  const { problems, checks } = open()
  problems.check({ 'app.py': GOOD }, null)
  vi.advanceTimersByTime(0)
  const place = { column: 1, end_line: 1, end_column: 2, rule: 'r', message: 'm' }
  problems.show([
    { ...place, file: 'a.py', line: 1, severity: 'warning' },
    { ...place, file: 'b.py', line: 9, severity: 'error' },
    { ...place, file: 'b.py', line: 2, severity: 'error' },
  ])
  checks[0]!.resolve()
  await answered()
  expect(problems.items.map(({ file, line }) => [file, line])).toEqual([
    ['b.py', 2],
    ['b.py', 9],
    ['a.py', 1],
  ])
  expect([problems.errors, problems.warnings]).toEqual([2, 1])
})
