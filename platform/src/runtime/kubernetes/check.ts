import type { V1Pod } from '@kubernetes/client-node'
import { podFailure } from '@fp/scaler/kubernetes'
import { setTimeout as delay } from 'node:timers/promises'
import { newId } from '../../ids.ts'
import { plainFailure, type AppSpec, type CheckResult } from '../runtime.ts'
import { inOwnersWords, parseReport } from './failures.ts'
import { checkPodOf, checkSecretOf, ownerOf, POD_KIND } from './manifests.ts'
import { sealOrder } from './order.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore } from './store.ts'

/** Between looks at a pod that is to end by itself, ms. */
const LOOK = 200

/** Loads an app in a pod of its own, which ends once it has. Rejects with the signal's reason. */
export async function checkInPod(
  spec: AppSpec,
  deps: { store: ObjectStore; settings: KubernetesSettings; signal: AbortSignal },
): Promise<CheckResult> {
  const { store, settings, signal } = deps
  const name = `check-${newId()}`
  const order = await sealOrder(spec, 'check')
  const pod = await store.create<V1Pod>('pods', checkPodOf(name, spec, settings))
  if (!pod) throw new Error(`There is a pod ${name} already.`)
  try {
    await store.create('secrets', checkSecretOf(name, spec, order, ownerOf(pod, POD_KIND, false)))
    for (;;) {
      const result = resultOf(await store.get<V1Pod>('pods', name))
      if (result) return result
      await delay(LOOK, undefined, { signal })
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    await store.remove('pods', name, { graceS: 0 })
  }
}

/** Undefined while it is under way. */
function resultOf(pod: V1Pod | undefined): CheckResult | undefined {
  if (!pod)
    return { ok: false, failure: plainFailure('FP_APP_EVICTED', 'The pod that loaded the app was deleted.') }
  if (pod.status?.phase === 'Succeeded') return { ok: true }
  const failure = podFailure(pod)
  if (!failure) return undefined
  const { details } = inOwnersWords({ ready: [], failure }).failure!
  return { ok: false, failure: parseReport(JSON.stringify(details))! }
}
