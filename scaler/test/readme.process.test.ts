import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'

const EXAMPLE = path.join(import.meta.dirname, 'readme-example.ts')

test('the README shows the example that is tested here', async () => {
  const readme = await readFile(path.join(import.meta.dirname, '../README.md'), 'utf8')
  const [, shown] = /```ts\n(.*?)```/s.exec(readme) ?? []
  expect(shown).toBe(await readFile(EXAMPLE, 'utf8'))
})

test('the example answers a request by a target that it wakes, and leaves nothing behind', async () => {
  const child = spawn(process.execPath, ['--conditions=@fp/source', EXAMPLE], {
    env: { PATH: process.env['PATH'], PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    const [line] = (await Promise.race([once(child.stdout, 'data'), exited])) as [Buffer]
    const response = await fetch(String(line).trim().split(' ').at(-1)!)
    expect(await response.text()).toContain('Directory listing')
    expect(response.headers.get('server-timing')).toMatch(/^wake;dur=/)
  } finally {
    child.kill('SIGINT')
  }
  // It ends by itself once nothing is left that it started.
  expect(await exited).toEqual([0, null])
})
