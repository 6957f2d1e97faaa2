import { ApiError } from '@fp/sdk/client'
import type { LoginBody, SessionCreated, SignupBody, User } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { dropSessionId, keepSessionId } from '#lib/api/session-id.ts'

/** Who is logged in. The session itself is a cookie. This class has what the page knows about it. */
class Session {
  user = $state.raw<User | undefined>()
  #asking: Promise<User | undefined> | undefined

  /** The user, or undefined when nobody is logged in. Asks the API once in a page load. Throws other errors. */
  async find(): Promise<User | undefined> {
    if (this.user) return this.user
    this.#asking ??= this.#ask()
    return this.#asking
  }

  /** Whether nobody has an account yet. False when the API cannot be asked. */
  async needsSetup(): Promise<boolean> {
    return client.auth.setup().then(
      ({ needs_setup }) => needs_setup,
      () => false,
    )
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
    this.#opened(await client.auth.login(body))
  }

  async signup(body: SignupBody): Promise<void> {
    this.#opened(await client.auth.signup(body))
  }

  async logout(): Promise<void> {
    await client.auth.logout()
    dropSessionId()
    this.forget()
  }

  #opened({ user, session_id }: SessionCreated): void {
    keepSessionId(session_id)
    this.user = user
  }

  forget(): void {
    this.user = undefined
    this.#asking = Promise.resolve(undefined)
  }
}

export const session = new Session()
