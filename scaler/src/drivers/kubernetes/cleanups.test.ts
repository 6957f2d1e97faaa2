import { expect, test } from 'vitest'
import { Cleanups } from './cleanups.ts'

test('cleanups run once, the last first, all of them even if one fails; the first error is thrown', async () => {
  const done: string[] = []
  const cleanups = new Cleanups()
  cleanups.defer(() => void done.push('first'))
  cleanups.use({
    async [Symbol.asyncDispose]() {
      done.push('second')
      throw new Error('second failed')
    },
  })
  cleanups.defer(() => {
    throw new Error('third failed')
  })
  await expect(cleanups[Symbol.asyncDispose]()).rejects.toThrow('third failed')
  await cleanups[Symbol.asyncDispose]()
  expect(done).toEqual(['second', 'first'])
})

test('cleanups that were moved are run by the new owner only', async () => {
  const done: string[] = []
  let moved: Cleanups
  {
    await using cleanups = new Cleanups()
    cleanups.defer(() => void done.push('once'))
    moved = cleanups.move()
  }
  expect(done).toEqual([])
  await moved[Symbol.asyncDispose]()
  expect(done).toEqual(['once'])
})
