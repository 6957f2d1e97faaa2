import type { TargetKey } from '@fp/scaler'
import { createHash } from 'node:crypto'
import type { AppSpec, SpecAsset } from '../../runtime.ts'
import { parseTargetKey } from '../../targets.ts'
import type { KubernetesSettings } from '../settings.ts'

export const SETTINGS: KubernetesSettings = {
  namespace: 'fp-apps',
  runnerImage: 'fp/runner:1.0',
  poolSize: 3,
  maxReplicas: 1,
  runtimeClass: undefined,
  allowUnsandboxed: false,
  mongodbHost: undefined,
  storageClass: undefined,
  storageSize: '100Mi',
  resources: { cpuRequest: '50m', cpuLimit: undefined, memoryRequest: '64Mi', memoryLimit: '512Mi' },
}

export const HELLO = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def answer() -> str:
    return "hello"
`

export function specOf(key: TargetKey, source = HELLO): AppSpec {
  const { appId, version } = parseTargetKey(key)
  return {
    key,
    appId,
    ownerId: 'u1',
    version,
    files: { 'app.py': source },
    assets: [],
    artifacts: [],
    limits: {},
    entrypoint: 'app.py',
    storage: false,
    env: { NAME: 'a secret value' },
    sequence: 7,
  }
}

export function assetOf(path: string, content: Buffer): SpecAsset {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { path, bytes: content.length, sha256, read: async () => content }
}
