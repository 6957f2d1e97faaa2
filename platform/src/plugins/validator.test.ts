import { CreateAppBody, PatchAppBody, SignupBody } from '@fp/sdk/wire'
import type { TSchema } from 'typebox'
import { expect, it } from 'vitest'
import type { FpError } from '../errors.ts'
import { invalidFields, validatorCompiler } from './validator.ts'

function refusal(body: unknown, schema: TSchema): FpError | undefined {
  const validate = validatorCompiler({ schema, method: 'POST', url: '/', httpPart: 'body' })
  const { error } = validate(body) as { error?: Parameters<typeof invalidFields>[0] }
  return error && invalidFields(error)
}
const faults = (body: unknown): unknown => refusal(body, SignupBody)?.details

it('describes every wrong field in words, including patterns', () => {
  expect(faults({ username: 'Grace!', email: 'x', password: 'short', admin: true })).toEqual(
    expect.arrayContaining([
      { field: 'username', message: 'must be lower-case letters, digits, - and _, beginning with a letter' },
      { field: 'email', message: 'must be a valid email' },
      { field: 'password', message: 'must have at least 8 characters' },
      { field: 'admin', message: 'is not known here' },
    ]),
  )
})

it('says which field is missing', () => {
  expect(faults({ username: 'grace', email: 'g@example.com' })).toEqual([
    { field: 'password', message: 'is missing' },
  ])
})

it('accepts valid values', () => {
  expect(faults({ username: 'grace', email: 'g@example.com', password: 'long enough' })).toBeUndefined()
})

it.each([
  [CreateAppBody, { name: '' }, 'name must not be empty.'],
  [CreateAppBody, { name: 'x'.repeat(81) }, 'name must have at most 80 characters.'],
  [CreateAppBody, [], 'The body must be a JSON object.'],
  [CreateAppBody, 'text', 'The body must be a JSON object.'],
  [PatchAppBody, { idle_timeout_s: 4 }, 'idle_timeout_s must be at least 5.'],
  [PatchAppBody, { idle_timeout_s: 1e6 }, 'idle_timeout_s must be at most 86400.'],
  [
    PatchAppBody,
    { idle_timeout_s: 'x', storage: 1 },
    'idle_timeout_s must be a whole number; storage must be true or false.',
  ],
])('says in words what is wrong, not in those of the schema', (schema, body, message) => {
  expect(refusal(body, schema)?.message).toBe(message)
})
