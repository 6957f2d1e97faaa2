import { afterAll, expect, test } from 'vitest'
import { createJsonThread } from './thread.ts'

const thread = createJsonThread()
afterAll(() => thread.close())

test('bodies come back as their value or the reason against them, each to whoever sent it', async () => {
  const values = Array.from({ length: 20 }, (_, n) => ({ n, text: 'ü'.repeat(n * 1_000) }))
  const parsed = await Promise.all(values.map((value) => thread.parse(Buffer.from(JSON.stringify(value)))))
  expect(parsed).toEqual(values.map((value) => ({ ok: true, value })))
  expect(await thread.parse(Buffer.from('{'))).toEqual({ ok: false, reason: 'invalid' })
})

test('a large answer is written as JSON.stringify writes it', async () => {
  const value = { text: 'ü\u0001"'.repeat(100_000), none: undefined, list: [1, null, undefined] }
  expect((await thread.stringify(value)).toString()).toBe(JSON.stringify(value))
})

test('the thread leaves the event loop free: it turns while a body is parsed that takes long', async () => {
  const body = Buffer.from(JSON.stringify('\u0001'.repeat(5_000_000)))
  let turns = 0
  const count = (): void => void (turns++, (timer = setImmediate(count)))
  let timer = setImmediate(count)
  await thread.parse(body)
  clearImmediate(timer)
  expect(turns).toBeGreaterThan(10)
})

test('when the thread ends, those who wait are told, and the next one has another', async () => {
  const broken = createJsonThread({
    script: new URL('data:text/javascript,process.exit(1)'),
  })
  await expect(broken.parse(Buffer.from('1'))).rejects.toThrow('has ended')
  await expect(broken.parse(Buffer.from('1'))).rejects.toThrow('has ended')
})
