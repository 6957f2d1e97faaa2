import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pino } from 'pino'
import { loadConfig } from '../src/config.ts'
import type { Environment } from '../src/settings.ts'
import { newId } from '../src/ids.ts'
import { startPlatform, type Platform } from './in-process.ts'
import { testMongoUri } from './database.ts'

export interface TestPlatform extends AsyncDisposable {
  readonly platform: Platform
  readonly url: string
  readonly dataDir: string
  /** A request to the API; `body` is sent as JSON unless it is text. */
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>
  /** Signs up a user with a random name; its requests carry its token. */
  user(): Promise<TestUser>
}

export interface RequestOptions {
  readonly body?: unknown
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The parsed body; any, so that tests read it without ceremony. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any
}

export interface TestUser {
  readonly userId: string
  readonly username: string
  readonly password: string
  readonly token: string
  request(method: string, path: string, body?: unknown): Promise<Answer>
}

/** The whole platform on a free port, with its own data folder and its own database on the tests' MongoDB. */
export async function startTestPlatform(env: Environment = {}): Promise<TestPlatform> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'fp-test-'))
  const config = loadConfig({
    FP_PORT: '0',
    FP_DATA_DIR: dataDir,
    FP_SIGNUPS_PER_HOUR: '10000',
    MONGODB_URI: testMongoUri(),
    ...env,
  })
  const platform = await startPlatform(config, {
    logger: pino({ level: process.env['FP_LOG_LEVEL'] ?? 'silent' }),
  })

  async function request(method: string, target: string, options: RequestOptions = {}): Promise<Answer> {
    const { body, token } = options
    const response = await fetch(platform.url + target, {
      method,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(token && { authorization: `Bearer ${token}` }),
        ...options.headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') && text
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    }
  }

  return {
    platform,
    url: platform.url,
    dataDir,
    request,
    async user() {
      const username = `u${newId()}`
      const password = 'correct horse'
      const email = `${username}@example.com`
      const answer = await request('POST', '/api/auth/signup', { body: { username, email, password } })
      if (answer.status !== 201) throw new Error(`sign-up failed: ${answer.text}`)
      const token: string = answer.body.access_token
      return {
        userId: answer.body.user.user_id,
        username,
        password,
        token,
        request: (method, target, body) => request(method, target, { token, body }),
      }
    },
    async [Symbol.asyncDispose]() {
      await platform.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
