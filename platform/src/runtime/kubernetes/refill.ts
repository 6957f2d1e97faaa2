import type { V1ConfigMap, V1OwnerReference, V1Pod, V1Secret } from '@kubernetes/client-node'
import type { Informer } from '@fp/scaler/kubernetes'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { newId } from '../../ids.ts'
import { podKey } from './claim.ts'
import { CONFIG_MAP_KIND, ownerOf, poolPodOf, poolSecretOf, settingsHash } from './manifests.ts'
import { poolLabels, ROLE_LABEL, TEMPLATE_ANNOTATION } from './names.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore } from './store.ts'

export interface RefillDeps {
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly secretKey: Buffer
  /** The pods of the pool, by the latest word. */
  readonly pods: Pick<Informer<V1Pod>, 'objects'>
  readonly log: Logger
}

const OWNER = 'fp-pool'
/** Between looks, ms: a wake under way has the node to itself for a moment before its pod is replaced. */
const LOOK = 500
/** That start at the same time: a node starts few pods well at once. */
const STARTING = 2
/** ms within which what was made is heard of. */
const NEWS_TIME = 10_000
/** Looks between sweeps of what was left behind. */
const SWEEP_EVERY = 60
/** ms that a Secret may be there without its pod: that long ago it was being made. */
const ORPHAN_AGE = 60_000

/** Keeps as many pods waiting as are wanted, all of the present image and settings, until the signal fires. For the leader alone. */
export async function keepPoolFilled(deps: RefillDeps, signal: AbortSignal): Promise<void> {
  const { store, settings, pods, log } = deps
  const template = settingsHash(settings)
  const owner = await poolOwner(store)
  /** The last one that was made: maybe not heard of yet. */
  let made = { name: '', at: -Infinity }

  async function look(round: number): Promise<void> {
    const all = [...pods.objects()].filter(({ metadata }) => !metadata?.deletionTimestamp)
    const unheard =
      performance.now() - made.at < NEWS_TIME && !all.some(({ metadata }) => metadata!.name === made.name)
    const [good, bad] = [all.filter(isGood), all.filter((pod) => !isGood(pod))]
    await Promise.all(bad.map(({ metadata }) => store.remove('pods', metadata!.name!)))
    for (const { metadata } of good.slice(settings.poolSize)) await store.remove('pods', metadata!.name!)
    const starting = good.filter((pod) => !isReady(pod)).length
    if (good.length < settings.poolSize && starting < STARTING && !unheard) {
      made = { name: await makeOne(), at: performance.now() }
    }
    if (round % SWEEP_EVERY === 0) await sweep(all)
  }

  function isGood({ metadata, status }: V1Pod): boolean {
    const over = status?.phase === 'Failed' || status?.phase === 'Succeeded'
    return !over && metadata?.annotations?.[TEMPLATE_ANNOTATION] === template
  }

  async function makeOne(): Promise<string> {
    const name = `pool-${newId()}`
    await store.create('secrets', poolSecretOf(name, podKey(deps.secretKey, name), owner))
    await store.create('pods', poolPodOf(name, owner, settings))
    return name
  }

  /** The key is in the pod's environment by then: nobody needs it where it was. */
  async function sweep(all: readonly V1Pod[]): Promise<void> {
    const secrets = await store.list<V1Secret>('secrets', `${ROLE_LABEL}=${poolLabels()[ROLE_LABEL]}`)
    for (const { metadata } of secrets) {
      const pod = all.find((one) => one.metadata!.name === metadata!.name)
      const age = Date.now() - new Date(metadata!.creationTimestamp!).getTime()
      if (pod ? isReady(pod) : age > ORPHAN_AGE) await store.remove('secrets', metadata!.name!)
    }
  }

  for (let round = 0; !signal.aborted; round++) {
    try {
      await look(round)
    } catch (error) {
      log.warn({ err: error }, 'the warm pool could not be looked after; trying again')
    }
    await delay(LOOK, undefined, { signal }).catch(() => undefined)
  }
}

async function poolOwner(store: ObjectStore): Promise<V1OwnerReference> {
  const map: V1ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: OWNER, labels: poolLabels() },
  }
  const owner = (await store.create('configmaps', map)) ?? (await store.get<V1ConfigMap>('configmaps', OWNER))
  if (!owner) throw new Error(`The ConfigMap ${OWNER} was deleted while it was being made.`)
  return ownerOf(owner, CONFIG_MAP_KIND, true)
}

function isReady({ status }: V1Pod): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}
