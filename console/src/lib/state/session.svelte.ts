import { ApiError } from '@fp/sdk/client'
import type { LoginBody, SignupBody, User } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'

/** Who is logged in. The session itself is a cookie; this is what the page knows of it. */
class Session {
  user = $state.raw<User | undefined>()
  #asking: Promise<User | undefined> | undefined

  /** The user; the API is asked once a page load; undefined when nobody is logged in. Other errors are thrown. */
  async find(): Promise<User | undefined> {
    if (this.user) return this.user
    this.#asking ??= this.#ask()
    return this.#asking
  }

  async #ask(): Promise<User | undefined> {
    try {
      return (this.user = await client.auth.me())
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return undefined
      this.#asking = undefined
      throw error
    }
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
    this.#asking = Promise.resolve(undefined)
  }
}

export const session = new Session()
