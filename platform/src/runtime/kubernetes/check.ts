import type { V1Pod } from '@kubernetes/client-node'
import type { Clock } from '@fp/scaler'
import { podFailure } from '@fp/scaler/kubernetes'
import type { Logger } from 'pino'
import { newId } from '../../ids.ts'
import { plainFailure, type AppSpec, type CheckResult } from '../runtime.ts'
import { withOwnersMessage, parseReport, refusalOf } from './failures.ts'
import { checkPodOf } from './manifests.ts'
import { ownerReferenceOf, POD_KIND } from './owners.ts'
import { checkSecretOf } from './secrets.ts'
import { packStartRequest } from './start-request.ts'
import { pause } from '../../pause.ts'
import type { Pool } from './pool.ts'
import type { KubernetesSettings } from './settings.ts'
import type { ObjectStore } from './store.ts'

/** ms between two looks at a pod that ends by itself. */
const LOOK = 200

export interface CheckDeps {
  readonly store: ObjectStore
  readonly settings: KubernetesSettings
  readonly pool: Pick<Pool, 'check'>
  readonly clock: Clock
  readonly log: Logger
}

/** Loads an app in a pod of the pool or in a new one. Rejects only with the signal's reason. */
export async function checkApp(spec: AppSpec, signal: AbortSignal, deps: CheckDeps): Promise<CheckResult> {
  try {
    return (await deps.pool.check(spec, { signal })) ?? (await checkInPod(spec, signal, deps))
  } catch (error) {
    signal.throwIfAborted()
    deps.log.warn({ err: error, app: spec.appId }, 'an app could not be checked')
    return { ok: false, failure: refusalOf(error as Error) }
  }
}

/** Loads the app in a pod of its own, which then ends. */
async function checkInPod(spec: AppSpec, signal: AbortSignal, deps: CheckDeps): Promise<CheckResult> {
  const { store, settings, clock, log } = deps
  const name = `check-${newId()}`
  const request = await packStartRequest(spec, 'check')
  signal.throwIfAborted()
  const pod = await store.create<V1Pod>('pods', checkPodOf(name, spec, settings))
  if (!pod) throw new Error(`There is a pod ${name} already.`)
  try {
    await store.create(
      'secrets',
      checkSecretOf(name, spec, request.body, ownerReferenceOf(pod, POD_KIND, false)),
    )
    for (;;) {
      const result = resultOf(await store.get<V1Pod>('pods', name))
      if (result) return result
      await pause(clock, LOOK, signal)
      signal.throwIfAborted()
    }
  } finally {
    // The result does not depend on whether the pod can be deleted. The reconciler deletes remaining pods.
    await store
      .remove('pods', name, { graceS: 0 })
      .catch((error: unknown) => log.warn({ err: error, pod: name }, 'a pod was not deleted'))
  }
}

/** Undefined while the pod still loads the app. */
function resultOf(pod: V1Pod | undefined): CheckResult | undefined {
  if (!pod)
    return { ok: false, failure: plainFailure('FP_APP_EVICTED', 'The pod that loaded the app was deleted.') }
  if (pod.status?.phase === 'Succeeded') return { ok: true }
  const failure = podFailure(pod)
  if (!failure) return undefined
  const { details } = withOwnersMessage({ ready: [], failure }).failure!
  return { ok: false, failure: parseReport(JSON.stringify(details))! }
}
