import { SignupBody } from '@fp/sdk/wire'
import { expect, it } from 'vitest'
import { invalidFields, validatorCompiler } from './validator.ts'

function faults(body: unknown): unknown {
  const validate = validatorCompiler({ schema: SignupBody, method: 'POST', url: '/', httpPart: 'body' })
  const { error } = validate(body) as { error?: Parameters<typeof invalidFields>[0] }
  return error && invalidFields(error).details
}

it('names every wrong field in words, patterns included', () => {
  expect(faults({ username: 'Grace!', email: 'x', password: 'short', admin: true })).toEqual(
    expect.arrayContaining([
      { field: 'username', message: 'must be lower-case letters, digits, - and _, beginning with a letter' },
      { field: 'email', message: 'must be a valid email' },
      { field: 'password', message: expect.stringContaining('8 characters') as string },
      { field: 'admin', message: 'is not known here' },
    ]),
  )
})

it('says which field is missing', () => {
  expect(faults({ username: 'grace', email: 'g@example.com' })).toEqual([
    { field: 'password', message: 'is missing' },
  ])
})

it('passes what is right', () => {
  expect(faults({ username: 'grace', email: 'g@example.com', password: 'long enough' })).toBeUndefined()
})
