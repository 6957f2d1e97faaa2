import type { Db } from 'mongodb'
import { isDuplicateKey } from '../../duplicate-key.ts'
import type { Role, User } from './user.ts'

interface UserDocument {
  _id: string
  username: string
  email: string
  email_key: string
  password_hash: string
  role: Role
  /** Only on the installation's first account. Unique, so only one of several concurrent first sign-ups becomes admin. */
  first?: true
  created_at: Date
}

export interface NewUser extends User {
  readonly passwordHash: string
}

export type InsertResult = 'inserted' | 'username-taken' | 'email-taken' | 'not-first'

export interface UserStore {
  ensureIndexes(): Promise<void>
  isEmpty(): Promise<boolean>
  /** `first` claims to be the installation's first account; `not-first` means that another account was inserted before. */
  insert(user: NewUser, options: { first: boolean }): Promise<InsertResult>
  get(userId: string): Promise<User | undefined>
  /** By user name or e-mail address, without case. */
  findForLogin(name: string): Promise<{ user: User; passwordHash: string } | undefined>
}

export function createUserStore(db: Db): UserStore {
  const users = db.collection<UserDocument>('users')
  return {
    async ensureIndexes() {
      await users.createIndexes([
        { key: { username: 1 }, unique: true },
        { key: { email_key: 1 }, unique: true },
        { key: { first: 1 }, unique: true, partialFilterExpression: { first: true } },
      ])
    },

    async isEmpty() {
      return (await users.findOne({}, { projection: { _id: 1 } })) === null
    },

    async insert(user, { first }) {
      const document: UserDocument = {
        _id: user.userId,
        username: user.username,
        email: user.email,
        email_key: user.email.toLowerCase(),
        password_hash: user.passwordHash,
        role: user.role,
        ...(first && { first }),
        created_at: user.createdAt,
      }
      try {
        await users.insertOne(document)
        return 'inserted'
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
        const key = Object.keys((error['keyPattern'] ?? {}) as object)[0]
        if (key === 'username') return 'username-taken'
        if (key === 'email_key') return 'email-taken'
        if (key === 'first') return 'not-first'
        throw error
      }
    },

    async get(userId) {
      const document = await users.findOne({ _id: userId })
      return document ? toUser(document) : undefined
    },

    async findForLogin(name) {
      const key = name.toLowerCase()
      // A user name cannot hold @, so one field alone can match.
      const document = await users.findOne(key.includes('@') ? { email_key: key } : { username: key })
      return document ? { user: toUser(document), passwordHash: document.password_hash } : undefined
    },
  }
}

function toUser(document: UserDocument): User {
  return {
    userId: document._id,
    username: document.username,
    email: document.email,
    role: document.role,
    createdAt: document.created_at,
  }
}
