import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readMemory } from './apps-memory.ts'

let file: string
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), 'fp-memory-')), 'memory.stat')
  await writeFile(file, 'anon 1000\nfile 50000\nshmem 200\nanon_thp 7\n')
})
afterAll(() => rm(join(file, '..'), { recursive: true }))

it('adds the lines of the cgroup’s statistics that the kernel cannot take back', async () => {
  expect(await readMemory({ file, fields: ['anon', 'shmem'], limit: 5_000 })).toEqual({
    used: 1_200,
    limit: 5_000,
  })
})

it('rejects where a line is missing, rather than say that nothing is used', async () => {
  await expect(readMemory({ file, fields: ['anon', 'total_rss'], limit: 1 })).rejects.toThrow('total_rss')
})
