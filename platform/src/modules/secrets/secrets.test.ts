import { randomBytes } from 'node:crypto'
import { ENV_LIMITS } from '@fp/sdk/wire'
import { expect, test } from 'vitest'
import { createSecretBox } from './box.ts'
import { createEnvVars } from './env-vars.ts'

const box = createSecretBox(randomBytes(32))
const env = createEnvVars(box)

test('a sealed text opens with the same key and context, and each sealing gives another text', () => {
  for (const text of ['', 'x', 'päss 🗝', 'y'.repeat(100_000)]) {
    const sealed = box.seal(text, 'here')
    expect(box.open(sealed, 'here')).toBe(text)
    expect(sealed).toMatch(/^v1\.[\w-]+$/)
    expect(box.seal(text, 'here')).not.toBe(sealed)
  }
})

test('it does not open with another context or key, truncated, changed or in another format', () => {
  const sealed = box.seal('secret', 'here')
  const bytes = Buffer.from(sealed.slice(3), 'base64url')
  expect(() => box.open(sealed, 'there')).toThrow('another key or context')
  expect(() => createSecretBox(randomBytes(32)).open(sealed, 'here')).toThrow('another key')
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1
    expect(() => box.open(`v1.${changed.toString('base64url')}`, 'here')).toThrow('was changed')
  }
  for (let length = 0; length < bytes.length; length++) {
    expect(() => box.open(`v1.${bytes.subarray(0, length).toString('base64url')}`, 'here')).toThrow()
  }
  expect(() => box.open('v2.xxxx', 'here')).toThrow('unknown format')
  expect(() => createSecretBox(randomBytes(16))).toThrow('16 bytes')
})

test('variables are set, kept, changed and removed by name', async () => {
  let vars = await env.apply('a', [], { B: '2', A: '1', S: { value: 'hush', secret: true } })
  expect(await env.show('a', vars)).toEqual([
    { name: 'A', value: '1', secret: false },
    { name: 'B', value: '2', secret: false },
    { name: 'S', value: null, secret: true },
  ])
  vars = await env.apply('a', vars, { A: null, B: '3', N: null })
  expect(await env.open('a', vars)).toEqual({ B: '3', S: 'hush' })
  expect(JSON.stringify(vars)).not.toContain('hush')
})

test('a text keeps the secret mark, and the same value is not a change', async () => {
  const vars = await env.apply('a', [], { S: { value: 'hush', secret: true }, P: 'p' })
  expect(await env.apply('a', vars, { S: 'hush', P: 'p', X: null })).toBe(vars)
  expect((await env.show('a', await env.apply('a', vars, { S: 'new' })))[1]).toEqual({
    name: 'S',
    value: null,
    secret: true,
  })
  expect(await env.apply('a', vars, { P: { value: 'p', secret: true } })).not.toBe(vars)
  expect(
    (await env.show('a', await env.apply('a', vars, { S: { value: 'open', secret: false } })))[1],
  ).toMatchObject({
    value: 'open',
  })
})

test('values belong to their app and name', async () => {
  const vars = await env.apply('a', [], { A: '1', B: '2' })
  await expect(env.open('b', vars)).rejects.toThrow('A cannot be decrypted')
  const swapped = [{ ...vars[0]!, sealed: vars[1]!.sealed }]
  await expect(env.open('a', swapped)).rejects.toThrow('A cannot be decrypted')
  expect(await env.open('b', await env.copy('a', 'b', vars))).toEqual({ A: '1', B: '2' })
})

test('a value that no longer opens can be set again, even to the same', async () => {
  const other = createEnvVars(createSecretBox(randomBytes(32)))
  const lost = await other.apply('a', [], { A: '1' })
  expect(await env.open('a', await env.apply('a', lost, { A: '1' }))).toEqual({ A: '1' })
})

test.each([
  '', '1A', 'A-B', 'A B', 'A=B', 'A\nB', 'A\n', 'Ä', 'A.B', '__proto__x\0', 'PORT', 'PATH', 'HOME', 'PLATFORM_MONGO_URI', 'FP_X',
  'PLATFORM_DATA_DIR', 'FP_APP_ID', 'PYTHONPATH', 'PYTHON_X', 'PYTHONSTARTUP', 'LD_PRELOAD', 'A'.repeat(200),
])('%j is no name', async (name) => {
  await expect(env.apply('a', [], { [name]: 'x' })).rejects.toThrow(expect.objectContaining({ code: 'FP_ENV_VAR_NAME' }))
}) // prettier-ignore

test.each(['A', '_', 'a1', 'PORTS', 'MY_FP_X', 'HOMEPAGE', 'PATHS', 'LDX', 'constructor', 'toString'])(
  '%s is a name',
  async (name) => {
    expect(await env.open('a', await env.apply('a', [], { [name]: 'x' }))).toEqual({ [name]: 'x' })
  },
)

test('there are limits to count and content', async () => {
  const many = Object.fromEntries(Array.from({ length: ENV_LIMITS.maxVars }, (_, n) => [`V${n}`, '']))
  const full = await env.apply('a', [], many)
  await expect(env.apply('a', full, { ONE_MORE: '' })).rejects.toThrow(
    expect.objectContaining({ code: 'FP_TOO_MANY_ENV_VARS' }),
  )
  expect(await env.apply('a', full, { ONE_MORE: '', V0: null })).toHaveLength(ENV_LIMITS.maxVars)
  const name = 'FULL'
  const most = await env.apply('a', [], { [name]: 'ü'.repeat((ENV_LIMITS.maxBytes - name.length) / 2) })
  expect(most).toHaveLength(1)
  await expect(env.apply('a', most, { B: '' })).rejects.toThrow(
    expect.objectContaining({
      code: 'FP_ENV_VARS_TOO_LARGE',
      statusCode: 422,
      details: { bytes: ENV_LIMITS.maxBytes + 1, limit: ENV_LIMITS.maxBytes },
      message: expect.stringMatching(/would take 262145 bytes.*256 KiB.*Shorten or remove/),
    }),
  )
  expect(await env.apply('a', most, { B: '', [name]: 'x' })).toHaveLength(2)
  await expect(env.apply('a', [], { A: 'a\0b' })).rejects.toThrow(
    expect.objectContaining({ code: 'FP_INVALID_FIELDS' }),
  )
  await expect(env.apply('a', [], { A: '\ud800' })).rejects.toThrow(
    expect.objectContaining({ code: 'FP_INVALID_FIELDS' }),
  )
})

test('130,000 variables are refused by their count, before any is sealed or opened', async () => {
  const never = (): never => {
    throw new Error('sealed or opened')
  }
  const counting = createEnvVars({ seal: never, open: never, sizeOf: box.sizeOf })
  const many = Object.fromEntries(Array.from({ length: 130_000 }, (_, n) => [`V${n}`, 'x']))
  await expect(counting.apply('a', [], many)).rejects.toMatchObject({
    code: 'FP_TOO_MANY_ENV_VARS',
    details: { count: 130_000 },
  })
})

test('too large variables are refused by their size, before any is sealed or opened', async () => {
  const vars = await env.apply('a', [], { KEPT: 'ü'.repeat(1_000) })
  const never = (): never => {
    throw new Error('sealed or opened')
  }
  const counting = createEnvVars({ seal: never, open: never, sizeOf: box.sizeOf })
  const name = 'LARGE'
  const room = ENV_LIMITS.maxBytes - 'KEPT'.length - 2_000 - name.length
  const error = { code: 'FP_ENV_VARS_TOO_LARGE', details: { bytes: ENV_LIMITS.maxBytes + 1 } }
  await expect(counting.apply('a', vars, { [name]: 'x'.repeat(room + 1) })).rejects.toMatchObject(error)
})

test.each(['', 'x', 'ü', 'y'.repeat(1_001)])('the size of a sealed text is known: %j', (text) => {
  expect(box.sizeOf(box.seal(text, 'here'))).toBe(Buffer.byteLength(text))
})
