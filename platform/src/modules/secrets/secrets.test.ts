import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSecretBox } from './box.ts'
import { createEnvVars, MAX_ENV_BYTES, MAX_ENV_VARS } from './env-vars.ts'

const box = createSecretBox(randomBytes(32))
const env = createEnvVars(box)

test('what is sealed opens with the same key and context, and never looks the same twice', () => {
  for (const text of ['', 'x', 'päss 🗝', 'y'.repeat(100_000)]) {
    const sealed = box.seal(text, 'here')
    expect(box.open(sealed, 'here')).toBe(text)
    expect(sealed).toMatch(/^v1\.[\w-]+$/)
    expect(box.seal(text, 'here')).not.toBe(sealed)
  }
})

test('it does not open elsewhere, with another key, cut, changed or in another format', () => {
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

test('variables are set, kept, changed and removed by name', () => {
  let vars = env.apply('a', [], { B: '2', A: '1', S: { value: 'hush', secret: true } })
  expect(env.show('a', vars)).toEqual([
    { name: 'A', value: '1', secret: false },
    { name: 'B', value: '2', secret: false },
    { name: 'S', value: null, secret: true },
  ])
  vars = env.apply('a', vars, { A: null, B: '3', N: null })
  expect(env.open('a', vars)).toEqual({ B: '3', S: 'hush' })
  expect(JSON.stringify(vars)).not.toContain('hush')
})

test('a text keeps the secret mark, and what changes nothing is no change', () => {
  const vars = env.apply('a', [], { S: { value: 'hush', secret: true }, P: 'p' })
  expect(env.apply('a', vars, { S: 'hush', P: 'p', X: null })).toBe(vars)
  expect(env.show('a', env.apply('a', vars, { S: 'new' }))[1]).toEqual({
    name: 'S',
    value: null,
    secret: true,
  })
  expect(env.apply('a', vars, { P: { value: 'p', secret: true } })).not.toBe(vars)
  expect(env.show('a', env.apply('a', vars, { S: { value: 'open', secret: false } }))[1]).toMatchObject({
    value: 'open',
  })
})

test('values belong to their app and name', () => {
  const vars = env.apply('a', [], { A: '1', B: '2' })
  expect(() => env.open('b', vars)).toThrow('A cannot be decrypted')
  const swapped = [{ ...vars[0]!, sealed: vars[1]!.sealed }]
  expect(() => env.open('a', swapped)).toThrow('A cannot be decrypted')
  expect(env.open('b', env.copy('a', 'b', vars))).toEqual({ A: '1', B: '2' })
})

test('a value that no longer opens can be set again, even to the same', () => {
  const other = createEnvVars(createSecretBox(randomBytes(32)))
  const lost = other.apply('a', [], { A: '1' })
  expect(env.open('a', env.apply('a', lost, { A: '1' }))).toEqual({ A: '1' })
})

test.each([
  '', '1A', 'A-B', 'A B', 'A=B', 'A\nB', 'A\n', 'Ä', 'A.B', '__proto__x\0', 'PORT', 'PATH', 'HOME', 'PLATFORM_MONGO_URI', 'FP_X',
  'FP_APP_ID', 'PYTHONPATH', 'PYTHON_X', 'PYTHONSTARTUP', 'LD_PRELOAD', 'A'.repeat(200),
])('%j is no name', (name) => {
  expect(() => env.apply('a', [], { [name]: 'x' })).toThrow(expect.objectContaining({ code: 'FP_ENV_VAR_NAME' }))
}) // prettier-ignore

test.each(['A', '_', 'a1', 'PORTS', 'MY_FP_X', 'HOMEPAGE', 'PATHS', 'LDX', 'constructor', 'toString'])(
  '%s is a name',
  (name) => {
    expect(env.open('a', env.apply('a', [], { [name]: 'x' }))).toEqual({ [name]: 'x' })
  },
)

test('there are limits to count and content', () => {
  const many = Object.fromEntries(Array.from({ length: MAX_ENV_VARS }, (_, n) => [`V${n}`, '']))
  const full = env.apply('a', [], many)
  expect(() => env.apply('a', full, { ONE_MORE: '' })).toThrow(
    expect.objectContaining({ code: 'FP_TOO_MANY_ENV_VARS' }),
  )
  expect(env.apply('a', full, { ONE_MORE: '', V0: null })).toHaveLength(MAX_ENV_VARS)
  const name = 'FULL'
  const most = env.apply('a', [], { [name]: 'ü'.repeat((MAX_ENV_BYTES - name.length) / 2) })
  expect(most).toHaveLength(1)
  expect(() => env.apply('a', most, { B: '' })).toThrow(
    expect.objectContaining({
      code: 'FP_ENV_VARS_TOO_LARGE',
      statusCode: 422,
      details: { bytes: MAX_ENV_BYTES + 1, limit: MAX_ENV_BYTES },
      message: expect.stringMatching(/would take 262145 bytes.*256 KiB.*Shorten or remove/),
    }),
  )
  expect(env.apply('a', most, { B: '', [name]: 'x' })).toHaveLength(2)
  expect(() => env.apply('a', [], { A: 'a\0b' })).toThrow(
    expect.objectContaining({ code: 'FP_INVALID_FIELDS' }),
  )
  expect(() => env.apply('a', [], { A: '\ud800' })).toThrow(
    expect.objectContaining({ code: 'FP_INVALID_FIELDS' }),
  )
})
