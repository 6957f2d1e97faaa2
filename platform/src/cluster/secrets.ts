import { randomBytes } from 'node:crypto'
import { KubernetesApiError, type KubernetesApi } from '@fp/scaler/kubernetes'
import { REPLICA_SET, ROOT_USER } from '../mongod/replica-set.ts'

/** The entries of the Secret that the manifests use: the first three for the platform, the others for MongoDB. */
export interface ClusterSecrets {
  readonly FP_SECRET_KEY: string
  readonly MONGODB_URI: string
  readonly FP_METRICS_TOKEN: string
  readonly 'mongodb-password': string
  readonly 'mongodb-key': string
}

/** New secrets for a MongoDB at `host`. */
export function makeSecrets(host: string): ClusterSecrets {
  const password = randomBytes(24).toString('base64url')
  return {
    FP_SECRET_KEY: randomBytes(32).toString('base64'),
    MONGODB_URI: `mongodb://${ROOT_USER}:${password}@${host}/fp?authSource=admin&replicaSet=${REPLICA_SET}`,
    FP_METRICS_TOKEN: randomBytes(24).toString('base64url'),
    'mongodb-password': password,
    'mongodb-key': randomBytes(96).toString('base64'),
  }
}

interface Target {
  readonly namespace: string
  readonly name: string
  /** `host:port` of MongoDB, as the platform and the apps reach it. */
  readonly host: string
}

/** Reads the Secret, or creates it if there is none. An existing one is never changed; of two concurrent calls one creates it. */
export async function ensureSecrets(
  api: Pick<KubernetesApi, 'request'>,
  { namespace, name, host }: Target,
): Promise<ClusterSecrets> {
  const path = `/api/v1/namespaces/${namespace}/secrets`
  const read = (): Promise<{ data?: Record<string, string> }> => api.request('GET', `${path}/${name}`)
  const found = await read().catch(async (error: unknown) => {
    if (!isStatus(error, 404)) throw error
    const labels = { 'app.kubernetes.io/part-of': 'fp', 'app.kubernetes.io/managed-by': 'fp-prepare' }
    const metadata = { name, labels }
    const body = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', stringData: makeSecrets(host) }
    await api.request('POST', path, { body }).catch((conflict: unknown) => {
      if (!isStatus(conflict, 409)) throw conflict
    })
    return read()
  })
  const text = (key: keyof ClusterSecrets): string => {
    const value = Buffer.from(found.data?.[key] ?? '', 'base64').toString()
    if (value) return value
    throw new Error(
      `The Secret ${namespace}/${name} has no ${key}. Restore it from a backup: a new one does not open what the old one sealed.`,
    )
  }
  return {
    FP_SECRET_KEY: text('FP_SECRET_KEY'),
    MONGODB_URI: text('MONGODB_URI'),
    FP_METRICS_TOKEN: text('FP_METRICS_TOKEN'),
    'mongodb-password': text('mongodb-password'),
    'mongodb-key': text('mongodb-key'),
  }
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof KubernetesApiError && error.status === status
}
