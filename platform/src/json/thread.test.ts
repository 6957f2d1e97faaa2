import { afterAll, expect, test } from 'vitest'
import { createJsonThread } from './thread.ts'

const thread = createJsonThread()
afterAll(() => thread.close())

test('each caller gets the value of its body, or the reason for the refusal', async () => {
  const values = Array.from({ length: 20 }, (_, n) => ({ n, text: 'ü'.repeat(n * 1_000) }))
  const parsed = await Promise.all(values.map((value) => thread.parse(Buffer.from(JSON.stringify(value)))))
  expect(parsed).toEqual(values.map((value) => ({ ok: true, value })))
  expect(await thread.parse(Buffer.from('{'))).toEqual({ ok: false, reason: 'invalid' })
})

test('a large answer is serialized like JSON.stringify does', async () => {
  const value = { text: 'ü\u0001"'.repeat(100_000), none: undefined, list: [1, null, undefined] }
  expect((await thread.stringify(value)).toString()).toBe(JSON.stringify(value))
})

test('the event loop keeps running while the thread parses a slow body', async () => {
  const body = Buffer.from(JSON.stringify('\u0001'.repeat(5_000_000)))
  let turns = 0
  const count = (): void => void (turns++, (timer = setImmediate(count)))
  let timer = setImmediate(count)
  await thread.parse(body)
  clearImmediate(timer)
  expect(turns).toBeGreaterThan(10)
})

test('when the thread ends, waiting calls reject, and the next call starts another thread', async () => {
  const broken = createJsonThread({
    script: new URL('data:text/javascript,process.exit(1)'),
  })
  await expect(broken.parse(Buffer.from('1'))).rejects.toThrow('has ended')
  await expect(broken.parse(Buffer.from('1'))).rejects.toThrow('has ended')
})
