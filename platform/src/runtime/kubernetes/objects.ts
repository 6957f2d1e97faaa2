import type { V1Deployment, V1OwnerReference } from '@kubernetes/client-node'
import type { TargetKey } from '@fp/scaler'
import type { AppSpec } from '../runtime.ts'
import { deploymentOf, isSentStartRequest, serviceOf } from './manifests.ts'
import { APP_LABEL, objectName } from './names.ts'
import { DEPLOYMENT_KIND, ownerReferenceOf } from './owners.ts'
import { targetPodKey } from './pod-keys.ts'
import { secretOf } from './secrets.ts'
import { packStartRequest } from './start-request.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore } from './store.ts'
import type { Volumes } from './volumes.ts'

export interface TargetObjectsDeps {
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  /** The platform's key, from which those of pods are derived. */
  readonly secretKey: Buffer
  readonly volumes: Pick<Volumes, 'ensure' | 'remove'>
  specOf(key: TargetKey): Promise<AppSpec>
}

/** The objects of targets besides their pods. */
export interface TargetObjects {
  /** Makes missing objects. Resolves to the owner of the target's pods. Cheap after the first time. */
  ensure(key: TargetKey): Promise<V1OwnerReference>
  /** Call it when an object of the target was changed elsewhere: the next `ensure` checks the objects again. */
  forget(key: TargetKey): void
  /** Removes the Deployment and everything that it owns. */
  remove(key: TargetKey): Promise<void>
  removeApp(appId: string): Promise<void>
}

export function createTargetObjects({
  store,
  settings,
  secretKey,
  volumes,
  specOf,
}: TargetObjectsDeps): TargetObjects {
  const made = new Map<TargetKey, Promise<V1OwnerReference>>()

  async function make(key: TargetKey): Promise<V1OwnerReference> {
    const spec = await specOf(key)
    if (spec.storage) await volumes.ensure(spec.appId)
    const name = objectName(key)
    const manifest = deploymentOf(spec, settings)
    const [startRequest, deployment] = await Promise.all([
      packStartRequest(spec, 'serve'),
      store
        .create<V1Deployment>('deployments', manifest)
        .then((created) => created ?? store.get<V1Deployment>('deployments', name)),
    ])
    if (!deployment) throw new Error(`The Deployment ${name} was deleted while it was being made.`)
    const owner = ownerReferenceOf(deployment, DEPLOYMENT_KIND, false)
    const holds = isSentStartRequest(spec)
      ? { podKey: targetPodKey(secretKey, key) }
      : { startRequest: startRequest.body }
    await Promise.all([
      store.create('secrets', secretOf(key, holds, owner)),
      store.create('services', serviceOf(key, owner)),
    ])
    return owner
  }

  function forget(key: TargetKey): void {
    made.delete(key)
  }

  return {
    ensure(key) {
      const known = made.get(key)
      if (known) return known
      const making = make(key)
      made.set(key, making)
      // The next call tries again after a failure.
      making.catch(() => made.get(key) === making && made.delete(key))
      return making
    },
    forget,
    async remove(key) {
      forget(key)
      await store.remove('deployments', objectName(key))
    },
    async removeApp(appId) {
      const label = `${APP_LABEL}=${appId}`
      const deployments = await store.list<V1Deployment>('deployments', label)
      for (const key of [...made.keys()]) if (key.startsWith(`${appId}.`)) forget(key)
      await Promise.all([
        ...deployments.map(({ metadata }) => store.remove('deployments', metadata!.name!)),
        // Kubernetes deletes the volume after the last pod.
        volumes.remove(appId),
      ])
    },
  }
}
