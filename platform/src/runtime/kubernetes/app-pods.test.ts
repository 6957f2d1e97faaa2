import type { V1Pod } from '@kubernetes/client-node'
import { beforeEach, expect, test } from 'vitest'
import { createAppPods, type AppPods } from './app-pods.ts'
import { TARGET_LABEL } from './names.ts'

let crashes: string[]
let pods: AppPods
/** The calls of the collector. */
let told: string[]
const collector = {
  seen: ({ metadata }: V1Pod) => void told.push(`seen ${metadata!.name}`),
  gone: ({ metadata }: V1Pod) => void told.push(`gone ${metadata!.name}`),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

beforeEach(() => {
  crashes = []
  told = []
  pods = createAppPods((key, { code }) => void crashes.push(`${key} ${code}`))
})

function pod(name: string, evicted = false): V1Pod {
  return {
    metadata: { name, uid: `uid of ${name}`, labels: { [TARGET_LABEL]: 'a.1.0' } },
    status: evicted ? { phase: 'Failed', reason: 'Evicted', message: 'low on memory' } : { phase: 'Running' },
  }
}

test('a pod that ends by itself is reported once; one that had ended before is not', () => {
  pods.seen(pod('one'), false)
  pods.seen(pod('one', true), false)
  pods.seen(pod('one', true), false)
  pods.seen(pod('two', true), false)
  expect(crashes).toEqual(['a.1.0 FP_APP_EVICTED'])
})

test('a pod is found by its name until it is deleted', () => {
  pods.seen(pod('one'), false)
  expect([pods.targetOf('one'), pods.targetOf('two')]).toEqual(['a.1.0', undefined])
  pods.seen(pod('one'), true)
  expect(pods.targetOf('one')).toBeUndefined()
})

test('a collector gets all pods from its beginning, and none after its end', async () => {
  pods.seen(pod('one'), false)
  const stop = new AbortController()
  const reporting = pods.report(collector, stop.signal)
  pods.seen(pod('two'), false)
  pods.seen(pod('one'), true)
  stop.abort()
  await reporting
  pods.seen(pod('three'), false)
  expect(told).toEqual(['seen one', 'seen two', 'gone one'])
})
