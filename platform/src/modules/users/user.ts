export type Role = 'admin' | 'user'

export interface User {
  readonly userId: string
  readonly username: string
  /** As it was written at sign-up. It is compared without case. */
  readonly email: string
  readonly role: Role
  readonly createdAt: Date
}

/** What a request knows about its user. */
export type SessionUser = Pick<User, 'userId' | 'username' | 'role'>
