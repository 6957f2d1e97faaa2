import { appendFile, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AppLogs } from './logs.ts'

let folder: string
let logs: AppLogs
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fp-logs-'))
  logs = new AppLogs(join(folder, 'logs'))
})
const texts = async (appId: string, lines: number): Promise<string[]> =>
  (await logs.tail(appId, lines)).map(({ text }) => text)
afterEach(() => rm(folder, { recursive: true, force: true }))

test('an app that has written nothing has no lines', async () => {
  expect(await texts('a', 10)).toEqual([])
})

test('the newest lines are returned oldest first; an incomplete line is not shown', async () => {
  await appendFile(await logs.prepare('a'), 'one\ntwo\nthree\nfou')
  expect(await texts('a', 2)).toEqual(['two', 'three'])
})

test('a log that has grown is rotated while it is written, and read across the rotation', async () => {
  const path = await logs.prepare('a')
  // As the zygote opens it for an app.
  await using held = await open(path, 'a')
  await held.write(`${'x'.repeat(1023)}\n`.repeat(1025))
  await held.write('before\n')
  await logs.sweep()
  await held.write('after\n')
  expect(await texts('a', 2)).toEqual(['before', 'after'])
  expect((await stat(path)).size).toBe('after\n'.length)
})

test('a very long log is read from its end only', async () => {
  await appendFile(await logs.prepare('a'), `${'x'.repeat(99)}\n`.repeat(10_000) + 'last\n')
  const lines = await texts('a', 100_000)
  expect(lines.at(-1)).toBe('last')
  expect(lines.length).toBeLessThan(3_000)
  expect(lines[0]).toBe('x'.repeat(99))
})

test('a line of the platform is stored separately, where no app can write', async () => {
  const path = await logs.prepare('a')
  await appendFile(path, '[fp] The app says so.\n')
  await logs.note('a', 'The database is full.')
  expect(await logs.tail('a', 10)).toMatchObject([
    { time: null, stream: 'output', text: '[fp] The app says so.' },
    { time: expect.any(String) as string, stream: 'platform', text: 'The database is full.' },
  ])
  expect(await readFile(path, 'utf8')).toBe('[fp] The app says so.\n')
  expect((await stat(join(folder, 'logs/a.platform.log'))).mode & 0o777).toBe(0o600)
})

test('a removed app leaves no file', async () => {
  await appendFile(await logs.prepare('a'), 'x\n')
  await logs.note('a', 'y')
  await logs.remove('a')
  expect(await readdir(join(folder, 'logs'))).toEqual([])
})
