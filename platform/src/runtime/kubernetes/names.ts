import type { KubernetesObject } from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import { parseTargetKey } from '../targets.ts'

export const TARGET_LABEL = 'fp.dev/target'
export const APP_LABEL = 'fp.dev/app'
export const ROLE_LABEL = 'fp.dev/role'
/** The app whose volume a pod mounts. */
export const STORAGE_LABEL = 'fp.dev/storage'
export const SOURCE_LABEL = 'fp.dev/source'
/** The hash of the settings that an object was made with. */
export const TEMPLATE_ANNOTATION = 'fp.dev/template'

/** The port of every app pod (decision 20). */
export const POD_PORT = 8000

const COMMON = {
  'app.kubernetes.io/name': 'fp-app',
  'app.kubernetes.io/part-of': 'fp',
  'app.kubernetes.io/managed-by': 'fp-platform',
}

/** The name of a target's Deployment, Secret and Service. */
export function objectName(key: TargetKey): string {
  return `app-${key.replaceAll('.', '-')}`
}

export function targetLabels(key: TargetKey): Record<string, string> {
  const { appId, version } = parseTargetKey(key)
  return {
    ...COMMON,
    'app.kubernetes.io/instance': `app-${appId}`,
    'app.kubernetes.io/version': String(version),
    'app.kubernetes.io/component': 'app',
    [ROLE_LABEL]: 'app',
    [APP_LABEL]: appId,
    [TARGET_LABEL]: key,
  }
}

export function poolLabels(): Record<string, string> {
  return { ...COMMON, 'app.kubernetes.io/component': 'pool', [ROLE_LABEL]: 'pool' }
}

/** Whether a pod of a target was claimed from the pool. */
export function cameFromPool({ metadata }: KubernetesObject): boolean {
  return metadata?.labels?.[SOURCE_LABEL] === 'pool'
}

/** The name of the claim for an app's volume, which all its targets use. */
export function claimName(appId: string): string {
  return `storage-${appId}`
}

export function storageLabels(appId: string): Record<string, string> {
  return { ...COMMON, 'app.kubernetes.io/component': 'storage', [APP_LABEL]: appId }
}

export function checkLabels(appId: string): Record<string, string> {
  return { ...COMMON, 'app.kubernetes.io/component': 'check', [ROLE_LABEL]: 'check', [APP_LABEL]: appId }
}
