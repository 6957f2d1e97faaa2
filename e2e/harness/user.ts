import { ApiError, createClient, type Client } from '@fp/sdk/client'
import type { AppDetail, CreateAppBody, Deployment, UploadAnswer } from '@fp/sdk/wire'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

/** The addresses of a platform. */
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

/** An app that answers `"hello"`. */
export const HELLO = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello() -> str:
    return "hello"
`

/** Someone with an account, who uses the API as a program does: with the SDK's client and a bearer token. */
export class TestUser {
  readonly #platform: Front
  readonly token: string
  readonly username: string
  /** Repeats calls that the platform refuses with FP_TOO_MANY_REQUESTS, after the time in `Retry-After`. */
  readonly client: Client

  private constructor(platform: Front, username: string, token: string) {
    this.#platform = platform
    this.username = username
    this.token = token
    this.client = createClient({ baseUrl: platform.url, token, fetch: patientFetch })
  }

  static async signUp(platform: Front, username: string): Promise<TestUser> {
    const { access_token: token } = await createClient({ baseUrl: platform.url }).auth.signup({
      username,
      email: `${username}@example.com`,
      password: 'correct horse battery',
    })
    return new TestUser(platform, username, token)
  }

  /** For tests of the API's answers themselves: returns the status, headers and body, also of a refusal. */
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

  createApp(what: Omit<CreateAppBody, 'name'>, name = 'test'): Promise<AppDetail> {
    return this.client.apps.create({ name, ...what })
  }

  /** Deploys and follows the deployment to its end. */
  async deploy(appId: string, files?: Record<string, string>): Promise<Deployment> {
    const accepted = await this.client.apps.deploy(appId, files ? { files } : {})
    return this.finished(appId, accepted.deployment_id)
  }

  /** Follows the deployment's events to the last one, then reads the deployment. */
  async finished(appId: string, deploymentId: string): Promise<Deployment> {
    for await (const _event of this.client.deployments.watch(appId, deploymentId));
    return this.client.deployments.get(appId, deploymentId)
  }

  /** Makes an app of these files and puts it live; throws when it does not come up. */
  async liveApp(what: Parameters<TestUser['createApp']>[0], name?: string): Promise<AppDetail> {
    const app = await this.createApp(what, name)
    const deployment = await this.deploy(app.app_id)
    if (deployment.stage !== 'ready')
      throw new Error(`deployment failed: ${JSON.stringify(deployment.failure)}`)
    return app
  }

  /** Uploads files of any content into an app's draft. */
  upload(appId: string, files: Readonly<Record<string, Buffer>>): Promise<UploadAnswer> {
    const blobs = Object.entries(files).map(
      ([path, content]) => [path, new Blob([new Uint8Array(content)])] as const,
    )
    return this.client.apps.uploadAssets(appId, new Map(blobs))
  }

  /** Puts an app to sleep. Waits while the app is busy with its last request. */
  async sleep(appId: string): Promise<void> {
    for (;;) {
      try {
        await this.client.apps.sleep(appId)
        return
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'FP_APP_BUSY') throw error
        await wait(20)
      }
    }
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

/** A request to an app through the ingress, with the app's host name. Does not follow redirects. */
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

const patientFetch: typeof fetch = async (input, init) => {
  for (;;) {
    const response = await fetch(input, init)
    if (response.status !== 429) return response
    const { code } = (await response.clone().json()) as { code?: string }
    if (code !== 'FP_TOO_MANY_REQUESTS') return response
    await wait(1000 * Number(response.headers.get('retry-after')))
  }
}
