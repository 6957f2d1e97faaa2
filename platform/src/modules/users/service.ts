import { randomBytes } from 'node:crypto'
import type { LoginBody, SignupBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { newId } from '../../ids.ts'
import { isSessionToken, sessionIdOf } from '../../plugins/session-token.ts'
import type { Limiter } from './limiter.ts'
import { createLoginQueue } from './login-queue.ts'
import type { SessionStore } from './session-store.ts'
import type { UserStore } from './store.ts'
import type { SessionUser, User } from './user.ts'

const DAY = 24 * 60 * 60 * 1000
/** A session ends when it has not been used for this long. */
export const SESSION_LIFETIME = 30 * DAY
/** The end of a session in use is moved at most once in this time, not at every request. */
const EXTEND_AFTER = DAY

/** A hash with the parameters of `offload/passwords.ts`, for no password: checking an unknown name must cost the same work. */
const NOBODY_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

export interface PasswordHasher {
  hash(password: string): Promise<string>
  verify(hash: string, password: string): Promise<boolean>
}

export interface Session {
  readonly sessionId: string
  readonly user: SessionUser
  /** Whether the session's end was just moved; its cookie should then get a later end too. */
  readonly extended: boolean
}

export interface OpenedSession {
  readonly user: User
  readonly token: string
  readonly sessionId: string
}

export interface UsersService {
  createIndexes(): Promise<void>
  /** Rejects with FP_USERNAME_TAKEN, FP_EMAIL_TAKEN, FP_FORBIDDEN (sign-up closed), FP_TOO_MANY_REQUESTS or FP_QUEUE_FULL. */
  signup(input: SignupBody, from: { address: string }): Promise<OpenedSession>
  /** Rejects with FP_BAD_CREDENTIALS, FP_TOO_MANY_REQUESTS or FP_QUEUE_FULL. */
  login(input: LoginBody, from: { address: string }): Promise<OpenedSession>
  logout(sessionId: string): Promise<void>
  authenticate(token: string): Promise<Session | undefined>
  get(userId: string): Promise<User | undefined>
  isAdmin(userId: string): Promise<boolean>
  /** Whether nobody has an account. */
  needsSetup(): Promise<boolean>
}

export interface UsersDeps {
  readonly users: Pick<UserStore, keyof UserStore>
  readonly sessions: Pick<SessionStore, keyof SessionStore>
  readonly limiter: Limiter
  readonly passwords: PasswordHasher
  readonly signup: 'open' | 'closed'
  readonly now?: () => number
}

export function createUsersService(deps: UsersDeps): UsersService {
  const { users, sessions, limiter, passwords } = deps
  const now = deps.now ?? Date.now
  const queue = createLoginQueue()

  async function openSession(user: User): Promise<OpenedSession> {
    const token = `fp_${randomBytes(32).toString('base64url')}`
    const sessionId = sessionIdOf(token)
    await sessions.insert({
      sessionId,
      userId: user.userId,
      expiresAt: new Date(now() + SESSION_LIFETIME),
    })
    return { user, token, sessionId }
  }

  const signup: UsersService['signup'] = async (input, { address }) => {
    // The first account can always be created: an installation with closed sign-up needs its admin.
    let first = await users.isEmpty()
    if (deps.signup === 'closed' && !first) {
      throw new FpError(
        'FP_FORBIDDEN',
        'Sign-up is closed on this installation. Ask its admin for an account.',
      )
    }
    const attempt = await limiter.signup(address)
    const passwordHash = await passwords.hash(input.password)
    for (;;) {
      const user: User = {
        userId: newId('u'),
        username: input.username,
        email: input.email,
        role: first ? 'admin' : 'user',
        createdAt: new Date(now()),
      }
      const result = await users.insert({ ...user, passwordHash }, { first })
      if (result === 'inserted') {
        await attempt.succeeded([user.username, user.email])
        return openSession(user)
      }
      if (result === 'username-taken') {
        throw new FpError(
          'FP_USERNAME_TAKEN',
          `The user name ${input.username} is taken. Choose another one.`,
        )
      }
      if (result === 'email-taken') {
        throw new FpError('FP_EMAIL_TAKEN', 'There is an account with this e-mail address. Log in instead.')
      }
      if (deps.signup === 'closed') {
        throw new FpError(
          'FP_FORBIDDEN',
          'Sign-up is closed on this installation. Ask its admin for an account.',
        )
      }
      first = false
    }
  }

  const login: UsersService['login'] = async (input, { address }) => {
    const attempt = await limiter.login(input.username, address)
    const found = await users.findForLogin(input.username)
    const valid = await passwords.verify(found?.passwordHash ?? NOBODY_HASH, input.password)
    if (!found || !valid) {
      throw new FpError('FP_BAD_CREDENTIALS', 'The name or the password is wrong.')
    }
    await attempt.succeeded([found.user.username, found.user.email])
    return openSession(found.user)
  }

  return {
    async createIndexes() {
      await Promise.all([users.createIndexes(), sessions.createIndexes()])
    },

    signup: (input, from) => queue.signup(from, () => signup(input, from)),
    login: (input, from) => queue.login({ ...from, name: input.username }, () => login(input, from)),

    logout: (sessionId) => sessions.remove(sessionId),

    async authenticate(token) {
      if (!isSessionToken(token)) return undefined
      const sessionId = sessionIdOf(token)
      const session = await sessions.find(sessionId, new Date(now()))
      const user = session && (await users.get(session.userId))
      if (!session || !user) return undefined
      const extended = session.expiresAt.getTime() < now() + SESSION_LIFETIME - EXTEND_AFTER
      if (extended) await sessions.extend(sessionId, new Date(now() + SESSION_LIFETIME))
      return { sessionId, extended, user: { userId: user.userId, username: user.username, role: user.role } }
    },

    get: (userId) => users.get(userId),
    needsSetup: () => users.isEmpty(),
    isAdmin: async (userId) => (await users.get(userId))?.role === 'admin',
  }
}
