import type { V1ObjectMeta, V1OwnerReference, V1Secret } from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import type { AppSpec } from '../runtime.ts'
import { checkLabels, objectName, poolLabels, targetLabels } from './names.ts'
import { START_REQUEST_KEY } from './pod-spec.ts'

export function secretOf(
  key: TargetKey,
  holds: { readonly startRequest: Buffer } | { readonly podKey: string },
  owner: V1OwnerReference,
): V1Secret {
  const metadata = { name: objectName(key), labels: targetLabels(key), ownerReferences: [owner] }
  return 'startRequest' in holds
    ? startRequestSecret(metadata, holds.startRequest)
    : keySecret(metadata, holds.podKey)
}

export function poolSecretOf(name: string, key: string, owner: V1OwnerReference): V1Secret {
  return keySecret({ name, labels: poolLabels(), ownerReferences: [owner] }, key)
}

export function checkSecretOf(
  name: string,
  spec: AppSpec,
  startRequest: Buffer,
  owner: V1OwnerReference,
): V1Secret {
  return startRequestSecret({ name, labels: checkLabels(spec.appId), ownerReferences: [owner] }, startRequest)
}

function startRequestSecret(metadata: V1ObjectMeta, startRequest: Buffer): V1Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata,
    type: 'fp.dev/start-request',
    immutable: true,
    data: { [START_REQUEST_KEY]: startRequest.toString('base64') },
  }
}

function keySecret(metadata: V1ObjectMeta, key: string): V1Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata,
    type: 'fp.dev/pod-key',
    immutable: true,
    stringData: { key },
  }
}
