import { KubernetesApiError, type ApiRequest } from '@fp/scaler/kubernetes'
import { beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../config.ts'
import { ensureSecrets, type ClusterSecrets } from './secrets.ts'

const TARGET = { namespace: 'fp-system', name: 'fp-secrets', host: 'mongodb.fp-system.svc:27017' }

/** An API server for Secrets only. */
class Secrets {
  readonly stored = new Map<string, Record<string, string>>()
  created = 0
  /** Called before a Secret is created, so that a test can create it first. */
  beforeCreate = (): void => undefined

  async request<T>(method: string, path: string, { body }: ApiRequest = {}): Promise<T> {
    const name = path.split('/').pop()!
    if (method === 'GET') {
      const data = this.stored.get(name)
      if (!data) throw new KubernetesApiError('none', 404, 'NotFound')
      return { data } as T
    }
    this.beforeCreate()
    const secret = body as { metadata: { name: string }; stringData: Record<string, string> }
    if (this.stored.has(secret.metadata.name)) throw new KubernetesApiError('there is', 409, 'AlreadyExists')
    this.created++
    this.put(secret.metadata.name, secret.stringData)
    return {} as T
  }

  put(name: string, texts: Record<string, string>): void {
    const data = Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')])
    this.stored.set(name, Object.fromEntries(data) as Record<string, string>)
  }
}

const OLD: ClusterSecrets = {
  FP_SECRET_KEY: 'a',
  MONGODB_URI: 'b',
  FP_METRICS_TOKEN: 'c',
  'mongodb-password': 'd',
  'mongodb-key': 'e',
}

describe('the Secret of a cluster with its own MongoDB', () => {
  let api: Secrets
  beforeEach(() => {
    api = new Secrets()
  })

  it('is created once, with values that the platform accepts', async () => {
    const first = await ensureSecrets(api, TARGET)
    expect(await ensureSecrets(api, TARGET)).toEqual(first)
    expect(api.created).toBe(1)
    const config = loadConfig({ FP_RUNTIME: 'kubernetes', FP_RUNNER_IMAGE: 'fp/runner:1', ...first })
    expect(config.secretKey).toHaveLength(32)
    expect(config.mongodbUri).toContain(`:${first['mongodb-password']}@${TARGET.host}/fp?`)
    expect(config.metricsToken).toBe(first.FP_METRICS_TOKEN)
    // MongoDB's limit for a key file.
    expect(first['mongodb-key'].length).toBeLessThanOrEqual(1024)
  })

  it('is never changed, and is created by one of two concurrent calls', async () => {
    api.beforeCreate = () => api.put(TARGET.name, { ...OLD })
    expect(await ensureSecrets(api, TARGET)).toEqual(OLD)
    expect(api.created).toBe(0)
  })

  it('is not completed with new values, which could not open what the old ones sealed', async () => {
    api.put(TARGET.name, { ...OLD, FP_SECRET_KEY: '' })
    await expect(ensureSecrets(api, TARGET)).rejects.toThrow(/no FP_SECRET_KEY. Restore it/)
  })

  it('is not created when the API server refuses to read it', async () => {
    api.request = () => Promise.reject(new KubernetesApiError('no', 403, 'Forbidden'))
    await expect(ensureSecrets(api, TARGET)).rejects.toThrow('no')
  })
})
