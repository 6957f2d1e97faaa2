import type { V1ConfigMap, V1OwnerReference, V1Pod, V1Secret } from '@kubernetes/client-node'
import type { Clock } from '@fp/scaler'
import { isPodOver, isPodReady, type Informer } from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import { newId } from '../../ids.ts'
import { podKey } from './pod-keys.ts'
import { isMadeWith, poolPodOf } from './manifests.ts'
import { poolLabels, ROLE_LABEL } from './names.ts'
import { pause } from '../../pause.ts'
import { CONFIG_MAP_KIND, ownerReferenceOf } from './owners.ts'
import { poolSecretOf } from './secrets.ts'
import type { KubernetesSettings } from './settings.ts'
import { Since } from './since.ts'
import type { ObjectStore } from './store.ts'

export interface RefillDeps {
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly secretKey: Buffer
  /** The pods of the pool as the cluster last reported them. */
  readonly pods: Pick<Informer<V1Pod>, 'objects'>
  readonly clock: Clock
  readonly log: Logger
}

const OWNER = 'fp-pool'
/** ms between two rounds: a wake that took a pod has the node to itself for a moment before the pod is replaced. */
const LOOK = 500
/** Longest wait, ms. The wait doubles each time the API refuses or a pod fails. */
const MAX_WAIT = 30_000
/** Pods that start at the same time: a node can start only few pods at once. */
const STARTING = 2
/** ms within which the watch reports a new pod. */
const NEWS_TIME = 10_000
/** ms between two sweeps of Secrets without a pod. */
const SWEEP_TIME = 30_000
/** ms after which a pod that does not become ready is replaced. A node may have to be added and to pull the image first. */
const START_TIME = 10 * 60_000
/** ms for which a Secret may have no pod, because the pod is being made. */
const ORPHAN_AGE = 60_000

/**
 * Keeps the wanted number of pods waiting, all with the present image and settings, until the signal is aborted. Runs only in
 * the leader. Never rejects.
 */
export async function keepPoolFilled(deps: RefillDeps, signal: AbortSignal): Promise<void> {
  const { store, settings, pods, clock, log } = deps
  const isUpToDate = isMadeWith(settings)
  /** The last pod that was made. The watch may not have reported it yet. */
  let made = { name: '', at: -Infinity, heard: true }
  /** Pods that have failed, or could not be made, since one became ready. */
  let failures = 0
  let swept = -Infinity
  /** Pods that were deleted, by name and version. The watch may report the deletion late. */
  let deleted = new Set<string>()
  const starting = new Since(clock)
  const orphans = new Since(clock)

  async function look(): Promise<void> {
    const latest = [...pods.objects()]
    const last = latest.find(({ metadata }) => metadata!.name === made.name)
    if (last) made.heard = true
    const known = latest.filter(({ metadata }) => !metadata?.deletionTimestamp)
    deleted = new Set(known.map(stateOf).filter((state) => deleted.has(state)))
    const all = known.filter((pod) => !deleted.has(stateOf(pod)))
    if (last && isPodReady(last)) failures = 0
    const late = new Set(
      starting.longer(
        START_TIME,
        all.filter((pod) => !isPodReady(pod)),
      ),
    )
    for (const { metadata, status } of late) {
      log.warn({ pod: metadata!.name, status }, 'a pod of the warm pool did not become ready; it is replaced')
    }
    failures += all.filter((pod) => isPodOver(pod) || late.has(pod)).length
    const isGood = (pod: V1Pod): boolean => !isPodOver(pod) && isUpToDate(pod) && !late.has(pod)
    const good = all.filter(isGood).sort((a, b) => Number(isPodReady(b)) - Number(isPodReady(a)))
    await Promise.all(all.filter((pod) => !isGood(pod)).map(remove))
    await Promise.all(good.slice(settings.poolSize).map(remove))
    const unready = good.filter((pod) => !isPodReady(pod)).length
    const since = clock.now() - made.at
    const unheard = !made.heard && since < NEWS_TIME
    if (good.length < settings.poolSize && unready < STARTING && !unheard && since >= waitAfter(failures)) {
      made = { name: `pool-${newId()}`, at: clock.now(), heard: false }
      await makeOne(made.name)
    }
    if (clock.now() - swept >= SWEEP_TIME) {
      swept = clock.now()
      await sweep()
    }
  }

  /** Deletes the version that is known: a pod that was claimed meanwhile belongs to a target. */
  async function remove(pod: V1Pod): Promise<void> {
    const { name, resourceVersion } = pod.metadata!
    await store.remove('pods', name!, { resourceVersion: resourceVersion! })
    deleted.add(stateOf(pod))
  }

  async function makeOne(name: string): Promise<void> {
    try {
      const owner = await poolOwner(store)
      await store.create('secrets', poolSecretOf(name, podKey(deps.secretKey, name), owner))
      await store.create('pods', poolPodOf(name, owner, settings))
    } catch (error) {
      failures++
      made.heard = true
      await store.remove('secrets', name).catch(() => undefined)
      throw error
    }
  }

  /** Removes Secrets of pods that are ready, which have the key in their environment, and Secrets that have had no pod for a while. */
  async function sweep(): Promise<void> {
    const secrets = await store.list<V1Secret>('secrets', `${ROLE_LABEL}=${poolLabels()[ROLE_LABEL]}`)
    // Read after the Secrets: each pod is made after its Secret.
    const isReady = new Map([...pods.objects()].map((pod) => [pod.metadata!.name, isPodReady(pod)]))
    const read = secrets.filter(({ metadata }) => isReady.get(metadata!.name))
    const withoutPod = secrets.filter(({ metadata }) => !isReady.has(metadata!.name))
    for (const { metadata } of [...read, ...orphans.longer(ORPHAN_AGE, withoutPod)])
      await store.remove('secrets', metadata!.name!)
  }

  for (let errors = 0; !signal.aborted;) {
    try {
      await look()
      errors = 0
    } catch (error) {
      errors++
      log.warn({ err: error }, 'the warm pool could not be refilled; trying again')
    }
    await pause(clock, Math.max(LOOK, waitAfter(errors)), signal)
  }
}

function waitAfter(failures: number): number {
  return failures === 0 ? 0 : Math.min(LOOK * 2 ** failures, MAX_WAIT)
}

/** Looked up each time: if it was deleted, Kubernetes deletes all pods that name it as their owner. */
async function poolOwner(store: ObjectStore): Promise<V1OwnerReference> {
  const map: V1ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: OWNER, labels: poolLabels() },
  }
  const owner = (await store.get<V1ConfigMap>('configmaps', OWNER)) ?? (await store.create('configmaps', map))
  if (!owner) throw new Error(`Somebody else has made the ConfigMap ${OWNER} at the same time.`)
  return ownerReferenceOf(owner, CONFIG_MAP_KIND, true)
}

function stateOf({ metadata }: V1Pod): string {
  return `${metadata!.name}/${metadata!.resourceVersion}`
}
