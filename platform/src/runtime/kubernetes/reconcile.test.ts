import { FakeClock } from '@fp/scaler/fake'
import type { V1Deployment, V1Pod } from '@kubernetes/client-node'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { settingsHash } from './manifests.ts'
import {
  checkLabels,
  poolLabels,
  SOURCE_LABEL,
  TARGET_LABEL,
  targetLabels,
  TEMPLATE_ANNOTATION,
} from './names.ts'
import { createTargetObjects } from './objects.ts'
import { reconcile } from './reconcile.ts'
import type { KubernetesSettings } from './settings.ts'
import { MemoryStore, refusal } from './test/memory-store.ts'
import { SETTINGS, specOf } from './test/specs.ts'

const KINDS = ['deployments', 'secrets', 'services'] as const
const MINUTE = 60_000
let clock: FakeClock
let store: MemoryStore
let live: string[]
let liveTargets: () => Promise<string[]>
let asSpec: typeof specOf
let stop: AbortController
let running: Promise<void>
/** Open watches. */
let watches: number
let unwatchable: Error | undefined

beforeEach(() => {
  clock = new FakeClock()
  store = new MemoryStore()
  live = ['a.1.0', 'b.2.5']
  liveTargets = () => Promise.resolve(live)
  asSpec = specOf
  watches = 0
  unwatchable = undefined
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  await running
  expect([clock.pending, watches]).toEqual([0, 0])
})

async function lead(settings: Partial<KubernetesSettings> = {}): Promise<void> {
  const deps = {
    store,
    settings: { ...SETTINGS, ...settings },
    secretKey: Buffer.alloc(32, 7),
    volumes: { ensure: () => Promise.resolve(), remove: () => Promise.resolve() },
    specOf: async (key: string) => asSpec(key),
  }
  running = reconcile(
    {
      ...deps,
      objects: createTargetObjects(deps),
      clock,
      follow(kind, deleted) {
        if (unwatchable) return Promise.reject(unwatchable)
        watches++
        store.onRemoved.set(kind, deleted)
        return Promise.resolve({
          isCurrent: true,
          objects: () => store.all(kind).filter(({ metadata }) => metadata?.labels?.[TARGET_LABEL]),
          get: (name) => store.all(kind).find(({ metadata }) => metadata!.name === name),
          async [Symbol.asyncDispose]() {
            watches--
          },
        })
      },
      liveTargets: () => liveTargets(),
      log: pino({ level: 'silent' }),
    },
    stop.signal,
  )
  await idle()
}
/** Start requests are compressed in threads of their own, which know nothing of the clock. */
const idle = (): Promise<void> => expect.poll(() => clock.pending, { interval: 1 }).toBe(1)
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 10_000) {
    await clock.advance(Math.min(left, 10_000))
    await idle()
  }
}
const WHOLE = ['app-a-1-0', 'app-b-2-5']
function expectWhole(): void {
  for (const kind of KINDS) expect(store.names(kind)).toEqual(WHOLE)
}
const deployment = (name = 'app-a-1-0'): V1Deployment =>
  store.all<V1Deployment>('deployments').find(({ metadata }) => metadata!.name === name)!
/** A Deployment that exists and is not live. */
function stray(key = 'old.1.0', name = 'app-old-1-0'): void {
  store.put('deployments', { metadata: { name, labels: targetLabels(key) } })
}

test('makes the missing objects of live apps', async () => {
  await lead()
  expectWhole()
  expect(deployment().spec).toMatchObject({ replicas: 0 })
})

test.each(KINDS)('makes %s again as soon as they are deleted', async (kind) => {
  await lead()
  const asked = store.asked.length
  await pass(30_000)
  expect(store.asked).toHaveLength(asked)
  store.drop(kind, 'app-a-1-0')
  await pass(500)
  expectWhole()
})

test('a deletion during a sweep is not missed', async () => {
  await lead()
  store.drop('services', 'app-a-1-0')
  store.drop('secrets', 'app-a-1-0')
  await pass(100)
  store.drop('services', 'app-b-2-5')
  await pass(1_000)
  expectWhole()
})

test('checks everything each minute, also without an event', async () => {
  await lead()
  live.push('c.1.0')
  await pass(MINUTE + 500)
  expect(store.names('deployments')).toContain('app-c-1-0')
})

test('changes nothing if everything is correct', async () => {
  await lead()
  const asked = store.asked.length
  await pass(10 * MINUTE)
  expect(store.asked.slice(asked).filter((what) => !what.startsWith('list pods'))).toEqual([])
})

test('updates Deployments with other settings, and keeps the number of replicas', async () => {
  await lead({ runtimeClass: 'gvisor' })
  stop.abort()
  await running
  const before = deployment()
  expect(before.spec!.template.spec!.runtimeClassName).toBe('gvisor')
  store.put('deployments', { ...before, spec: { ...before.spec!, replicas: 2 } })
  stop = new AbortController()
  await lead({ runnerImage: 'fp/runner:2.0' })
  const { spec, metadata } = deployment()
  expect(spec!.replicas).toBe(2)
  expect(spec!.template.spec!.containers[0]!.image).toBe('fp/runner:2.0')
  expect(spec!.template.spec).not.toHaveProperty('runtimeClassName')
  expect(spec!.template.metadata!.labels![TARGET_LABEL]).toBe('a.1.0')
  expect(metadata!.uid).toBe(before.metadata!.uid)
  const patches = (): number => store.asked.filter((what) => what.startsWith('patch')).length
  expect(patches()).toBe(2)
  await pass(5 * MINUTE)
  expect(patches()).toBe(2)
})

describe('pods that came from the pool', () => {
  const made = (settings: Partial<KubernetesSettings> = {}): Record<string, string> => ({
    [TEMPLATE_ANNOTATION]: settingsHash({ ...SETTINGS, ...settings }),
  })
  const OLD = made({ runnerImage: 'fp/runner:0.9' })
  const ready: V1Pod['status'] = { conditions: [{ type: 'Ready', status: 'True' }] }
  function claimed(
    name: string,
    annotations: Record<string, string>,
    more: Partial<V1Pod['metadata']> = {},
  ): void {
    const labels = { ...targetLabels('a.1.0'), [SOURCE_LABEL]: 'pool' }
    store.put<V1Pod>('pods', { metadata: { name, labels, annotations, ...more }, status: ready! })
  }
  function waiting(annotations: Record<string, string>, status: V1Pod['status'] = ready): void {
    store.put<V1Pod>('pods', {
      metadata: { name: 'waiting', labels: poolLabels(), annotations },
      status: status!,
    })
  }
  const left = (): string[] => store.names('pods').filter((name) => name !== 'waiting')

  test('and were made with other settings are stopped one by one', async () => {
    waiting(made())
    claimed('old-1', OLD)
    claimed('old-2', OLD)
    claimed('new', made())
    store.put('pods', { metadata: { name: 'of a Deployment', labels: targetLabels('b.2.5') } })
    await lead()
    expect(left()).toEqual(['new', 'of a Deployment', 'old-2'])
    await pass(3_500)
    expect(left()).toEqual(['new', 'of a Deployment'])
    await pass(10 * MINUTE)
    expect(left()).toEqual(['new', 'of a Deployment'])
  })

  test('are kept until another pod waits, if there is a pool', async () => {
    waiting(OLD)
    claimed('old', OLD)
    await lead()
    await pass(MINUTE)
    waiting(made(), { conditions: [{ type: 'Ready', status: 'False' }] })
    await pass(10_000)
    expect(left()).toEqual(['old'])
    waiting(made())
    await pass(10_000)
    expect(left()).toEqual([])
  })

  test('do not wait for a pool that there is no more', async () => {
    claimed('old', OLD)
    await lead({ poolSize: 0 })
    expect(left()).toEqual([])
  })

  test('and are stopping already are not stopped again', async () => {
    waiting(made())
    claimed('ends', OLD, { deletionTimestamp: new Date() })
    await lead()
    await pass(MINUTE)
    expect(left()).toEqual(['ends'])
  })
})

test('removes abandoned Deployments after ten minutes, and not earlier', async () => {
  stray()
  await lead()
  await pass(9 * MINUTE)
  expect(store.names('deployments')).toContain('app-old-1-0')
  await pass(2 * MINUTE)
  expect(store.names('deployments')).toEqual(WHOLE)
})

test('a version that was just replaced may finish its requests, however old it is', async () => {
  await lead()
  await pass(60 * MINUTE)
  live = ['a.2.0', 'b.2.5']
  // News, at which it looks at once.
  store.drop('services', 'app-b-2-5')
  await pass(MINUTE)
  expect(store.names('deployments')).toEqual(['app-a-1-0', 'app-a-2-0', 'app-b-2-5'])
  await pass(11 * MINUTE)
  expect(store.names('deployments')).toEqual(['app-a-2-0', 'app-b-2-5'])
})

test('the time starts again if an abandoned Deployment was live meanwhile', async () => {
  stray()
  await lead()
  await pass(8 * MINUTE)
  live.push('old.1.0')
  await pass(2 * MINUTE)
  live.pop()
  await pass(8 * MINUTE)
  expect(store.names('deployments')).toContain('app-old-1-0')
})

test('removes pods of checks that nobody waits for any more, whatever their age', async () => {
  const pod: V1Pod = { metadata: { name: 'check-1', labels: checkLabels('a') } }
  await lead()
  await pass(60 * MINUTE)
  store.put('pods', pod)
  store.put('pods', { metadata: { name: 'app-1', labels: targetLabels('a.1.0') } })
  await pass(9 * MINUTE)
  expect(store.names('pods')).toEqual(['app-1', 'check-1'])
  await pass(3 * MINUTE)
  expect(store.names('pods')).toEqual(['app-1'])
})

test('a failure of one app does not affect the others', async () => {
  asSpec = (key) => {
    if (key === 'a.1.0') throw new Error('its environment cannot be read')
    return specOf(key)
  }
  stray()
  await lead()
  expect(store.names('deployments')).toEqual(['app-b-2-5', 'app-old-1-0'])
  await pass(12 * MINUTE)
  expect(store.names('deployments')).toEqual(['app-b-2-5'])
  asSpec = specOf
  await pass(10_000)
  expectWhole()
})

test.each([
  ['the API', () => void (store.before = () => raise(refusal(500)))],
  ['the database', () => void (liveTargets = () => Promise.reject(new Error('away')))],
  ['the watch', () => void (unwatchable = refusal(0))],
])('goes on when %s fails for a while', async (_what, fail) => {
  fail()
  await lead()
  await pass(MINUTE)
  for (const kind of KINDS) expect(store.names(kind)).toEqual([])
  store.before = () => undefined
  liveTargets = () => Promise.resolve(live)
  unwatchable = undefined
  await pass(10_000)
  expectWhole()
  expect(watches).toBe(3)
})

test('removes nothing if the database does not answer', async () => {
  await lead()
  liveTargets = () => Promise.reject(new Error('away'))
  await pass(30 * MINUTE)
  expectWhole()
})

test('ends at once when this process no longer leads', async () => {
  await lead()
  stop.abort()
  await running
  store.drop('secrets', 'app-a-1-0')
  await clock.advance(5 * MINUTE)
  expect(store.names('secrets')).toEqual(['app-b-2-5'])
})

function raise(error: Error): never {
  throw error
}
