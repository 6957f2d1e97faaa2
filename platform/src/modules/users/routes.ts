import { LoginBody, SessionCreated, Setup, SignupBody, User as WireUser } from '@fp/sdk/wire'
import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { FpError } from '../../errors.ts'
import type { SessionCookie } from '../../plugins/session-cookie.ts'
import type { OpenedSession, UsersService } from './service.ts'
import type { User } from './user.ts'

export interface UserRoutesDeps {
  readonly users: UsersService
  readonly cookie: SessionCookie
}

export function registerUserRoutes(app: Api, deps: UserRoutesDeps): void {
  const { users, cookie } = deps

  app.get(
    '/api/auth/setup',
    {
      config: { public: true },
      schema: {
        tags: ['auth'],
        summary: 'Whether the installation has an account yet',
        description: 'Needs no session, so that a new installation can ask for its first account.',
        response: { 200: Setup },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store')
      return { needs_setup: await users.needsSetup() }
    },
  )

  app.post(
    '/api/auth/signup',
    {
      config: { public: true },
      schema: {
        tags: ['auth'],
        summary: 'Make an account and log in',
        description: 'The first account of an installation is its admin. Also sets the session cookie.',
        body: SignupBody,
        response: { 201: SessionCreated },
      },
    },
    async (request, reply) => {
      const opened = await users.signup(request.body, { address: request.ip })
      cookie.write(reply, opened.token)
      return reply.code(201).send(sessionCreated(opened))
    },
  )

  app.post(
    '/api/auth/login',
    {
      config: { public: true },
      schema: {
        tags: ['auth'],
        summary: 'Log in',
        description: 'Also sets the session cookie.',
        body: LoginBody,
        response: { 200: SessionCreated },
      },
    },
    async (request, reply) => {
      const opened = await users.login(request.body, { address: request.ip })
      cookie.write(reply, opened.token)
      return sessionCreated(opened)
    },
  )

  app.post(
    '/api/auth/logout',
    {
      schema: {
        tags: ['auth'],
        summary: 'End this session',
        description: 'The token and the cookie of this session stop working at once; other sessions stay.',
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await users.logout(request.session.sessionId)
      cookie.clear(reply)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/api/auth/me',
    { schema: { tags: ['auth'], summary: 'Who am I', response: { 200: WireUser } } },
    async (request) => {
      const user = await users.get(request.user.userId)
      if (!user) throw new FpError('FP_UNAUTHENTICATED', 'This account is gone.')
      return toWire(user)
    },
  )
}

function sessionCreated({ user, token, sessionId }: OpenedSession): SessionCreated {
  return { user: toWire(user), access_token: token, token_type: 'bearer', session_id: sessionId }
}

function toWire(user: User): WireUser {
  return {
    user_id: user.userId,
    username: user.username,
    email: user.email,
    role: user.role,
    created_at: user.createdAt.toISOString(),
  }
}
