import type { V1ConfigMap, V1OwnerReference, V1Pod, V1Secret } from '@kubernetes/client-node'
import type { Clock } from '@fp/scaler'
import { isPodOver, isPodReady, type Informer } from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import { newId } from '../../ids.ts'
import { podKey } from './pod-keys.ts'
import { isMadeWith, poolPodOf } from './manifests.ts'
import { poolLabels, ROLE_LABEL } from './names.ts'
import { pause } from '../../pause.ts'
import { CONFIG_MAP_KIND, ownerOf } from './owners.ts'
import { poolSecretOf } from './secrets.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore } from './store.ts'

export interface RefillDeps {
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly secretKey: Buffer
  /** The pods of the pool, by the latest word. */
  readonly pods: Pick<Informer<V1Pod>, 'objects'>
  readonly clock: Clock
  readonly log: Logger
}

const OWNER = 'fp-pool'
/** Between looks, ms: a wake under way has the node to itself for a moment before its pod is replaced. */
const LOOK = 500
/** And at most, when the API refuses or pods fail one after the other: doubled each time. */
const MAX_WAIT = 30_000
/** That start at the same time: a node starts few pods well at once. */
const STARTING = 2
/** ms within which what was made is heard of. */
const NEWS_TIME = 10_000
/** ms between sweeps of what was left behind. */
const SWEEP_TIME = 30_000
/** ms that a Secret may be there without its pod: that long ago it was being made. */
const ORPHAN_AGE = 60_000

/**
 * Keeps as many pods waiting as are wanted, all of the present image and settings, until the signal fires. For the leader
 * alone. Never rejects.
 */
export async function keepPoolFilled(deps: RefillDeps, signal: AbortSignal): Promise<void> {
  const { store, settings, pods, clock, log } = deps
  const isUpToDate = isMadeWith(settings)
  /** The last one that was made: maybe not heard of yet. */
  let made = { name: '', at: -Infinity, heard: true }
  /** Pods that have failed, or could not be made, since one became ready. */
  let failures = 0
  let swept = -Infinity
  /** What was deleted in the state that is known of it: news may be late. */
  let deleted = new Set<string>()

  async function look(): Promise<void> {
    const latest = [...pods.objects()]
    const last = latest.find(({ metadata }) => metadata!.name === made.name)
    if (last) made.heard = true
    const known = latest.filter(({ metadata }) => !metadata?.deletionTimestamp)
    deleted = new Set(known.map(stateOf).filter((state) => deleted.has(state)))
    const all = known.filter((pod) => !deleted.has(stateOf(pod)))
    if (last && isPodReady(last)) failures = 0
    failures += all.filter(isPodOver).length
    const good = all.filter(isGood).sort((a, b) => Number(isPodReady(b)) - Number(isPodReady(a)))
    await Promise.all(all.filter((pod) => !isGood(pod)).map(remove))
    await Promise.all(good.slice(settings.poolSize).map(remove))
    const starting = good.filter((pod) => !isPodReady(pod)).length
    const since = clock.now() - made.at
    const unheard = !made.heard && since < NEWS_TIME
    if (good.length < settings.poolSize && starting < STARTING && !unheard && since >= waitAfter(failures)) {
      made = { name: `pool-${newId()}`, at: clock.now(), heard: false }
      await makeOne(made.name)
    }
    if (clock.now() - swept >= SWEEP_TIME) {
      swept = clock.now()
      await sweep(all)
    }
  }

  function isGood(pod: V1Pod): boolean {
    return !isPodOver(pod) && isUpToDate(pod)
  }

  /** In the state that is known of it: one that was claimed meanwhile is somebody's. */
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

  /** The key is in the pod's environment by then: nobody needs it where it was. */
  async function sweep(all: readonly V1Pod[]): Promise<void> {
    const secrets = await store.list<V1Secret>('secrets', `${ROLE_LABEL}=${poolLabels()[ROLE_LABEL]}`)
    for (const { metadata } of secrets) {
      const pod = all.find((one) => one.metadata!.name === metadata!.name)
      const age = clock.wall() - new Date(metadata!.creationTimestamp!).getTime()
      if (pod ? isPodReady(pod) : age > ORPHAN_AGE) await store.remove('secrets', metadata!.name!)
    }
  }

  for (let errors = 0; !signal.aborted;) {
    try {
      await look()
      errors = 0
    } catch (error) {
      errors++
      log.warn({ err: error }, 'the warm pool could not be looked after; trying again')
    }
    await pause(clock, Math.max(LOOK, waitAfter(errors)), signal)
  }
}

function waitAfter(failures: number): number {
  return failures === 0 ? 0 : Math.min(LOOK * 2 ** failures, MAX_WAIT)
}

/** Looked up each time: if it was deleted, so will be whatever names it as its owner. */
async function poolOwner(store: ObjectStore): Promise<V1OwnerReference> {
  const map: V1ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: OWNER, labels: poolLabels() },
  }
  const owner = (await store.get<V1ConfigMap>('configmaps', OWNER)) ?? (await store.create('configmaps', map))
  if (!owner) throw new Error(`Somebody else has made the ConfigMap ${OWNER} at the same time.`)
  return ownerOf(owner, CONFIG_MAP_KIND, true)
}

function stateOf({ metadata }: V1Pod): string {
  return `${metadata!.name}/${metadata!.resourceVersion}`
}
