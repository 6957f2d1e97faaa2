import { expect, test } from 'vitest'
import { harmOf } from './harm.ts'
import type { Operation } from './operations.ts'

const BOUNDS = { memory: 100, spilled: 100 }
const operation = (database: string, seconds: number, kind: Operation['kind'] = 'active'): Operation => ({
  kind,
  database,
  seconds,
  waits: false,
  end: () => Promise.resolve(),
})
const ended = (operations: Operation[], memory: number, spilled = 0): string[] =>
  harmOf({ operations, dirty: 0, memory, files: 0 }, spilled, BOUNDS).map(({ database }) => database)

test('when memory or temporary files are full, the operations of the user with the most are ended', () => {
  const operations = [operation('ann', 1), operation('eve', 3), operation('eve', 3)]
  expect(ended(operations, 101)).toEqual(['eve'])
  expect(ended(operations, 0, 101)).toEqual(['eve'])
  expect(ended(operations, 100, 100)).toEqual([])
})

test('a user who has just begun is not blamed for what another one took a moment ago', () => {
  expect(ended([operation('ann', 0), operation('ann', 1)], 101)).toEqual([])
  expect(ended([operation('ann', 1)], 0, 101)).toEqual([])
})
