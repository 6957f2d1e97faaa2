import { describe, expect, it } from 'vitest'
import type { Limiter } from './limiter.ts'
import { createUsersService, SESSION_LIFETIME, type PasswordHasher, type UsersDeps } from './service.ts'
import type { SessionRecord } from './session-store.ts'
import type { NewUser } from './store.ts'

const DAY = 24 * 60 * 60 * 1000

function setUp() {
  const state = {
    now: 0,
    users: [] as NewUser[],
    sessions: new Map<string, SessionRecord>(),
    verified: [] as string[],
  }
  const users: UsersDeps['users'] = {
    createIndexes: async () => undefined,
    isEmpty: async () => state.users.length === 0,
    insert: async (user) => (state.users.push(user), 'inserted'),
    get: async (userId) => state.users.find((user) => user.userId === userId),
    findForLogin: async (name) => {
      const user = state.users.find(({ username }) => username === name)
      return user && { user, passwordHash: user.passwordHash }
    },
  }
  const sessions: UsersDeps['sessions'] = {
    createIndexes: async () => undefined,
    insert: async (session) => void state.sessions.set(session.sessionId, session),
    find: async (id, now) => {
      const session = state.sessions.get(id)
      return session && session.expiresAt > now ? session : undefined
    },
    extend: async (id, expiresAt) => void state.sessions.set(id, { ...state.sessions.get(id)!, expiresAt }),
    remove: async (id) => void state.sessions.delete(id),
  }
  const passwords: PasswordHasher = {
    hash: async (password) => `hash of ${password}`,
    verify: async (hash, password) => (state.verified.push(hash), hash === `hash of ${password}`),
  }
  const limiter: Limiter = {
    login: async () => ({ succeeded: async () => undefined }),
    signup: async () => ({ succeeded: async () => undefined }),
  }
  const service = createUsersService({
    users,
    sessions,
    passwords,
    limiter,
    signup: 'open',
    now: () => state.now,
  })
  return { service, state }
}

const ADA = { username: 'ada', email: 'ada@example.com', password: 'correct horse' }
const FROM = { address: '127.0.0.1' }

describe('the users service', () => {
  it('does the same work for an unknown name as for a wrong password', async () => {
    const { service, state } = setUp()
    await service.signup(ADA, FROM)
    const attempts = [
      ['ada', 'wrong'],
      ['nobody', 'wrong'],
    ] as const
    for (const [username, password] of attempts) {
      await expect(service.login({ username, password }, FROM)).rejects.toMatchObject({
        code: 'FP_BAD_CREDENTIALS',
      })
    }
    expect(state.verified).toHaveLength(2)
    // The same parameters, so the same time.
    expect(state.verified[1]).toContain('$argon2id$v=19$m=19456,t=2,p=1$')
  })

  it('stores no token that opens a session', async () => {
    const { service, state } = setUp()
    const { token } = await service.signup(ADA, FROM)
    expect(JSON.stringify([...state.sessions])).not.toContain(token)
    expect(await service.authenticate(token)).toMatchObject({ user: { username: 'ada', role: 'admin' } })
    for (const id of state.sessions.keys()) expect(await service.authenticate(id)).toBeUndefined()
  })

  it('ends a session 30 days after its last use', async () => {
    const { service, state } = setUp()
    const { token } = await service.signup(ADA, FROM)
    state.now = DAY / 2
    expect(await service.authenticate(token)).toMatchObject({ extended: false })
    state.now = 29 * DAY
    expect(await service.authenticate(token)).toMatchObject({ extended: true })
    state.now = 29 * DAY + SESSION_LIFETIME - 1
    expect(await service.authenticate(token)).toBeDefined()
    state.now += SESSION_LIFETIME
    expect(await service.authenticate(token)).toBeUndefined()
  })
})
