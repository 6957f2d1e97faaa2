import type { AppDetail, Deployment, DeployAccepted, SessionCreated } from '@fp/sdk/wire'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

/** A platform as a client finds it. */
export interface Front {
  /** Of the API and the console. */
  readonly url: string
  readonly address: string
  readonly port: number
  /** `host:port`; apps answer on `app-<id>.<appDomain>`. */
  readonly appDomain: string
}

export interface ApiAnswer<T = unknown> {
  readonly status: number
  readonly body: T
  readonly headers: Headers
}

export interface AppAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** ms until the whole answer was there. */
  readonly took: number
  json(): unknown
}

/** Someone with an account, who uses the API with a bearer token. */
export class TestUser {
  readonly #platform: Front
  readonly token: string
  readonly username: string

  private constructor(platform: Front, username: string, token: string) {
    this.#platform = platform
    this.username = username
    this.token = token
  }

  static async signUp(platform: Front, username: string): Promise<TestUser> {
    const response = await fetch(`${platform.url}/api/auth/signup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, email: `${username}@example.com`, password: 'correct horse battery' }),
    })
    const body = (await response.json()) as SessionCreated
    if (response.status !== 201) throw new Error(`signup: ${response.status} ${JSON.stringify(body)}`)
    return new TestUser(platform, username, body.access_token)
  }

  async api<T = unknown>(method: string, path: string, body?: unknown): Promise<ApiAnswer<T>> {
    const response = await fetch(`${this.#platform.url}/api${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return {
      status: response.status,
      body: (text ? JSON.parse(text) : undefined) as T,
      headers: response.headers,
    }
  }

  /** The same, for calls that must succeed; where the account sends too many, after the wait that the answer asks for. */
  async must<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    let answer = await this.api<T>(method, path, body)
    while ((answer.body as { code?: string } | undefined)?.code === 'FP_TOO_MANY_REQUESTS') {
      await wait(1000 * Number(answer.headers.get('retry-after')))
      answer = await this.api<T>(method, path, body)
    }
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  createApp(
    what: {
      files?: Record<string, string>
      code?: string
      template_id?: string
      entrypoint?: string
      env_vars?: object
    },
    name = 'test',
  ): Promise<AppDetail> {
    return this.must<AppDetail>('POST', '/apps', { name, ...what })
  }

  /** Deploys and follows the deployment to its end. */
  async deploy(appId: string, files?: Record<string, string>): Promise<Deployment> {
    const accepted = await this.must<DeployAccepted>('POST', `/apps/${appId}/deploy`, files ? { files } : {})
    return this.finished(appId, accepted.deployment_id)
  }

  /** Reads the deployment's events until they end, then the deployment. */
  async finished(appId: string, deploymentId: string): Promise<Deployment> {
    const path = `/apps/${appId}/deployments/${deploymentId}`
    const events = await fetch(`${this.#platform.url}/api${path}/events`, {
      headers: { authorization: `Bearer ${this.token}` },
    })
    await events.text()
    return this.must<Deployment>('GET', path)
  }

  /** Makes an app of these files and puts it live; throws when it does not come up. */
  async liveApp(what: Parameters<TestUser['createApp']>[0], name?: string): Promise<AppDetail> {
    const app = await this.createApp(what, name)
    const deployment = await this.deploy(app.app_id)
    if (deployment.stage !== 'ready')
      throw new Error(`deployment failed: ${JSON.stringify(deployment.failure)}`)
    return app
  }

  /** Puts an app to sleep, once it is known that its last request was answered. */
  async sleep(appId: string): Promise<void> {
    while ((await this.api<{ code?: string }>('POST', `/apps/${appId}/sleep`)).body.code === 'FP_APP_BUSY')
      await new Promise((resolve) => setTimeout(resolve, 20))
  }

  call(appId: string, path: string, options: CallOptions = {}): Promise<AppAnswer> {
    return callApp(this.#platform, appId, path, options)
  }
}

export interface CallOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
}

/** A request to an app through the front door, as its host name would bring it. Redirects are not followed. */
export function callApp(
  { address, port, appDomain }: Front,
  appId: string,
  path: string,
  options: CallOptions = {},
): Promise<AppAnswer> {
  const began = performance.now()
  const { method = 'GET', headers = {}, body } = options
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: address,
        port,
        path,
        method,
        headers: { host: `app-${appId}.${appDomain}`, ...headers },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          const took = performance.now() - began
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            text,
            took,
            json: () => JSON.parse(text) as unknown,
          })
        })
      },
    )
    request.once('error', reject)
    request.end(body)
  })
}
