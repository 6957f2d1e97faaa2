import { Type } from 'typebox'
import { Timestamp } from './common.ts'
import { PASSWORD_LENGTH } from './limits.ts'

export const User = Type.Object({
  user_id: Type.String(),
  username: Type.String(),
  email: Type.String(),
  role: Type.Union([Type.Literal('admin'), Type.Literal('user')]),
  created_at: Timestamp,
})
export type User = Type.Static<typeof User>

export const SignupBody = Type.Object(
  {
    username: Type.String({
      minLength: 3,
      maxLength: 32,
      pattern: '^[a-z][a-z0-9_-]*$',
      description: 'lower-case letters, digits, - and _, beginning with a letter',
    }),
    email: Type.String({ format: 'email', maxLength: 254 }),
    password: Type.String({ minLength: PASSWORD_LENGTH.min, maxLength: PASSWORD_LENGTH.max }),
  },
  { additionalProperties: false },
)
export type SignupBody = Type.Static<typeof SignupBody>

/** `username` takes the user name or the e-mail address. */
export const LoginBody = Type.Object(
  {
    username: Type.String({ minLength: 1, maxLength: 254 }),
    password: Type.String({ minLength: 1, maxLength: PASSWORD_LENGTH.max }),
  },
  { additionalProperties: false },
)
export type LoginBody = Type.Static<typeof LoginBody>

export const Setup = Type.Object({
  needs_setup: Type.Boolean({
    description: 'Nobody has an account yet. The next account that signs up is the administrator’s.',
  }),
})
export type Setup = Type.Static<typeof Setup>

export const SessionCreated = Type.Object({
  user: User,
  access_token: Type.String({ description: 'Send as `Authorization: Bearer …`. Shown once.' }),
  token_type: Type.Literal('bearer'),
  session_id: Type.String({
    description:
      'Names the session without opening it. A browser sends it as `X-Fp-Session`, so that no other page can put another session’s cookie in its place.',
  }),
})
export type SessionCreated = Type.Static<typeof SessionCreated>
