import type { V1ObjectMeta, V1OwnerReference } from '@kubernetes/client-node'

/**
 * A reference by which Kubernetes deletes what an object owns. `controller`: the owner keeps the object running; `kubectl
 * drain` leaves alone pods without a controller.
 */
export function ownerReferenceOf(
  object: { readonly kind?: string; readonly apiVersion?: string; readonly metadata?: V1ObjectMeta },
  kind: { readonly apiVersion: string; readonly kind: string },
  controller: boolean,
): V1OwnerReference {
  return {
    ...kind,
    name: object.metadata!.name!,
    uid: object.metadata!.uid!,
    controller,
    blockOwnerDeletion: false,
  }
}

export const DEPLOYMENT_KIND = { apiVersion: 'apps/v1', kind: 'Deployment' }
export const CONFIG_MAP_KIND = { apiVersion: 'v1', kind: 'ConfigMap' }
export const POD_KIND = { apiVersion: 'v1', kind: 'Pod' }
