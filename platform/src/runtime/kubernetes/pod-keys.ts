import type { TargetKey } from '@fp/scaler'
import { createHmac } from 'node:crypto'

/** The secret that the platform shares with a pod of the pool. It is derived from the platform's own key. */
export function podKey(secretKey: Buffer, podName: string): string {
  return createHmac('sha256', secretKey).update(`pool ${podName}`).digest('hex')
}

/** The same for the pods of a target's Deployment, which are sent their start request because it has assets. */
export function targetPodKey(secretKey: Buffer, key: TargetKey): string {
  return createHmac('sha256', secretKey).update(`target ${key}`).digest('hex')
}
