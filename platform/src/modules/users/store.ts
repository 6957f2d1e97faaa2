import type { Collection, Db } from 'mongodb'
import { isDuplicateKey } from '../../duplicate-key.ts'
import type { Role, User } from './user.ts'

/** The names of the fields are older than the rule for names: a rename takes two releases, so that replicas of both can read. */
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

/** The accounts in MongoDB. */
export class UserStore {
  readonly #users: Collection<UserDocument>

  constructor(db: Db) {
    this.#users = db.collection('users')
  }

  async createIndexes(): Promise<void> {
    await this.#users.createIndexes([
      { key: { username: 1 }, unique: true },
      { key: { email_key: 1 }, unique: true },
      { key: { first: 1 }, unique: true, partialFilterExpression: { first: true } },
    ])
  }

  async isEmpty(): Promise<boolean> {
    return (await this.#users.findOne({}, { projection: { _id: 1 } })) === null
  }

  /** `first` claims to be the installation's first account; `not-first` means that another account was inserted before. */
  async insert(user: NewUser, { first }: { first: boolean }): Promise<InsertResult> {
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
      await this.#users.insertOne(document)
      return 'inserted'
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
      const key = Object.keys((error['keyPattern'] ?? {}) as object)[0]
      if (key === 'username') return 'username-taken'
      if (key === 'email_key') return 'email-taken'
      if (key === 'first') return 'not-first'
      throw error
    }
  }

  async get(userId: string): Promise<User | undefined> {
    const document = await this.#users.findOne({ _id: userId })
    return document ? toUser(document) : undefined
  }

  /** By user name or e-mail address, without case. */
  async findForLogin(name: string): Promise<{ user: User; passwordHash: string } | undefined> {
    const key = name.toLowerCase()
    // A user name cannot hold @, so one field alone can match.
    const document = await this.#users.findOne(key.includes('@') ? { email_key: key } : { username: key })
    return document ? { user: toUser(document), passwordHash: document.password_hash } : undefined
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
