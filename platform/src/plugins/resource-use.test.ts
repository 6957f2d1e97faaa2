import { open } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { readResourceUse, shortage } from './resource-use.ts'

test('counts the open descriptors of a process against its limit, and the threads of the machine', async () => {
  const before = await readResourceUse({ platform: process.pid })
  const opened = await Promise.all(Array.from({ length: 100 }, () => open('/dev/null')))
  const after = await readResourceUse({ platform: process.pid, gone: 2 ** 30 })
  await Promise.all(opened.map((file) => file.close()))

  const { used, limit } = after.descriptors['platform']!
  expect(used - before.descriptors['platform']!.used).toBeGreaterThan(80)
  expect(limit).toBeGreaterThan(used)
  expect(after.descriptors['gone']).toBeUndefined()
  expect(after.processes.used).toBeGreaterThan(0)
  expect(after.processes.limit).toBeGreaterThan(after.processes.used)
})

test('says which limit is nearly reached before starts fail', () => {
  const processes = { used: 10, limit: 1000 }
  const descriptors = { platform: { used: 10, limit: 1000 }, runner: { used: 960, limit: 1000 } }
  expect(shortage({ descriptors: { platform: descriptors.platform }, processes })).toBeUndefined()
  expect(shortage({ descriptors, processes })).toBe('960 of 1000 open files of the runner are in use')
})
