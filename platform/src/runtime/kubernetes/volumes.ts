import type { V1PersistentVolumeClaim, V1StorageClass } from '@kubernetes/client-node'
import type { Clock } from '@fp/scaler'
import { KubernetesApiError, type KubernetesApi } from '@fp/scaler/kubernetes'
import { claimName, storageLabels } from './names.ts'
import { pause } from '../../pause.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore } from './store.ts'

const CLASSES = '/apis/storage.k8s.io/v1/storageclasses'
const IS_DEFAULT = 'storageclass.kubernetes.io/is-default-class'

/** ms between two looks at a claim that has no volume yet. */
const LOOK = 100
/** ms for the cluster to make a volume. Some clouds take half a minute. */
const PATIENCE = 60_000

export interface VolumesDeps {
  readonly api: Pick<KubernetesApi, 'request'>
  readonly store: ObjectStore
  readonly settings: Pick<KubernetesSettings, 'storageClass' | 'storageSize'>
  readonly clock: Clock
}

/** The volumes of apps with storage: one claim for each app, which outlives its targets. */
export interface Volumes {
  /** Why no app can have storage in this cluster. Undefined: apps can have storage. */
  problem(): Promise<string | undefined>
  /** Makes the app's claim if there is none. Resolves once a pod may use it. */
  ensure(appId: string): Promise<void>
  /** Deletes the claim, and all files if the StorageClass deletes released volumes. */
  remove(appId: string): Promise<void>
}

export function createVolumes({ api, store, settings, clock }: VolumesDeps): Volumes {
  const { storageClass } = settings

  /** The StorageClass of the claims; undefined if there is none. */
  async function classOf(): Promise<V1StorageClass | undefined> {
    const { items } = await api.request<{ items: V1StorageClass[] }>('GET', CLASSES)
    return items.find(({ metadata }) =>
      storageClass === undefined
        ? metadata!.annotations?.[IS_DEFAULT] === 'true'
        : metadata!.name === storageClass,
    )
  }

  return {
    async problem() {
      try {
        if (await classOf()) return undefined
      } catch (error) {
        if (!(error instanceof KubernetesApiError)) throw error
        return error.status === 403
          ? 'the platform may not list the cluster’s StorageClasses; its admin applies the manifests of this version (deploy/base/rbac.yaml)'
          : 'the cluster does not answer when it is asked for its StorageClasses'
      }
      return storageClass === undefined
        ? 'the cluster has no default StorageClass; its admin makes one, or names another in FP_STORAGE_CLASS'
        : `the cluster has no StorageClass ${storageClass}, which its admin has named in FP_STORAGE_CLASS`
    },

    async ensure(appId) {
      const name = claimName(appId)
      const look = (): Promise<V1PersistentVolumeClaim | undefined> =>
        store.get<V1PersistentVolumeClaim>('persistentvolumeclaims', name)
      let claim = (await store.create('persistentvolumeclaims', claimOf(appId, settings))) ?? (await look())
      if (isBound(claim)) return
      // The cluster makes the volume once the first pod is scheduled.
      if ((await classOf())?.volumeBindingMode === 'WaitForFirstConsumer') return
      const until = clock.now() + PATIENCE
      // Waits here: a pod without its volume cannot be scheduled, and would be regarded as one that never can.
      for (; !isBound(claim); claim = await look()) {
        if (clock.now() >= until) {
          throw new Error(
            `The cluster has made no volume for the app's storage within ${PATIENCE / 1000} seconds. Try again later, or tell its admin, who finds why by: kubectl describe pvc ${name}`,
          )
        }
        await pause(clock, LOOK, new AbortController().signal)
      }
    },

    remove: (appId) => store.remove('persistentvolumeclaims', claimName(appId)),
  }
}

function isBound(claim: V1PersistentVolumeClaim | undefined): boolean {
  return claim?.status?.phase === 'Bound'
}

export function claimOf(
  appId: string,
  { storageClass, storageSize }: VolumesDeps['settings'],
): V1PersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: claimName(appId), labels: storageLabels(appId) },
    spec: {
      accessModes: ['ReadWriteOnce'],
      ...(storageClass === undefined ? {} : { storageClassName: storageClass }),
      resources: { requests: { storage: storageSize } },
    },
  }
}
