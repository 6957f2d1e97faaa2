import { ApiError } from '@fp/sdk/client'
import type { LoginBody, SignupBody, User } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'

/** Who is logged in. The session itself is a cookie; this is what the page knows of it. */
class Session {
  user = $state.raw<User | undefined>()

  /** The user, asked for once; undefined when nobody is logged in. Other errors are thrown. */
  async find(): Promise<User | undefined> {
    if (this.user) return this.user
    try {
      this.user = await client.auth.me()
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) throw error
    }
    return this.user
  }

  async login(body: LoginBody): Promise<void> {
    this.user = (await client.auth.login(body)).user
  }

  async signup(body: SignupBody): Promise<void> {
    this.user = (await client.auth.signup(body)).user
  }

  async logout(): Promise<void> {
    await client.auth.logout()
    this.forget()
  }

  forget(): void {
    this.user = undefined
  }
}

export const session = new Session()
