import { FakeClock } from '@fp/scaler/fake'
import type { V1Pod, V1Secret } from '@kubernetes/client-node'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { podKey } from './pod-keys.ts'
import { ROLE_LABEL, TEMPLATE_ANNOTATION } from './names.ts'
import { keepPoolFilled } from './refill.ts'
import { MemoryStore, refusal } from './test/memory-store.ts'
import { SETTINGS } from './test/specs.ts'
import type { KubernetesSettings } from './settings.ts'

const SECRET_KEY = Buffer.alloc(32, 7)
const LOOK = 500
let clock: FakeClock
let store: MemoryStore
let stop: AbortController
let running: Promise<void>

beforeEach(() => {
  clock = new FakeClock(Date.UTC(2026, 0, 1))
  store = new MemoryStore()
  store.wall = () => clock.wall()
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  await running
  expect(clock.pending).toBe(0)
})

const pods = (): V1Pod[] =>
  store.all<V1Pod>('pods').filter(({ metadata }) => metadata!.labels![ROLE_LABEL] === 'pool')
const names = (): string[] => pods().map(({ metadata }) => metadata!.name!)

function lead(settings: Partial<KubernetesSettings> = {}, known: () => Iterable<V1Pod> = pods): void {
  running = keepPoolFilled(
    {
      store,
      settings: { ...SETTINGS, ...settings },
      secretKey: SECRET_KEY,
      pods: { objects: known },
      clock,
      log: pino({ level: 'silent' }),
    },
    stop.signal,
  )
}
function become(pod: V1Pod, phase: 'Running' | 'Failed' | 'Succeeded'): void {
  const conditions = phase === 'Running' ? [{ type: 'Ready', status: 'True' }] : []
  store.put('pods', { ...pod, status: { phase, conditions } })
}
async function allReady(size: number): Promise<void> {
  for (let looks = 0; pods().length < size || !pods().every(isReady); looks++) {
    expect(looks).toBeLessThan(100)
    for (const pod of pods()) if (!isReady(pod)) become(pod, 'Running')
    await clock.advance(LOOK)
  }
}
const isReady = ({ status }: V1Pod): boolean => status?.phase === 'Running'
const made = (): number => store.asked.filter((what) => what.startsWith('create pods')).length

test('fills to its size, and no further', async () => {
  lead()
  await allReady(3)
  await clock.advance(60_000)
  expect(names()).toHaveLength(3)
  expect(made()).toBe(3)
})

test('each pod has a key of its own, in a Secret that nothing else needs', async () => {
  lead({ poolSize: 1 })
  await clock.advance(LOOK)
  const [name = ''] = names()
  expect(store.all<V1Secret>('secrets')).toMatchObject([
    { metadata: { name }, immutable: true, stringData: { key: podKey(SECRET_KEY, name) } },
  ])
  // Never a pod without its Secret.
  const created = store.asked.filter((what) => what.startsWith('create')).map((what) => what.split(' ')[1])
  expect(created).toEqual(['configmaps', 'secrets', 'pods'])
})

test('at most two start at the same time', async () => {
  lead({ poolSize: 10 })
  await clock.advance(60_000)
  expect(names()).toHaveLength(2)
  become(pods()[0]!, 'Running')
  await clock.advance(10 * LOOK)
  expect(names()).toHaveLength(3)
  await allReady(10)
})

test('does not make another pod because the watch reports the last one late', async () => {
  lead({ poolSize: 1 }, () => [])
  await clock.advance(9_000)
  expect(made()).toBe(1)
  await clock.advance(2_000)
  expect(made()).toBe(2)
})

test('replaces a pod that was claimed', async () => {
  lead()
  await allReady(3)
  const [taken] = pods()
  store.put('pods', { ...taken!, metadata: { ...taken!.metadata, labels: { [ROLE_LABEL]: 'app' } } })
  await allReady(3)
  expect(names()).not.toContain(taken!.metadata!.name)
  expect(store.names('pods')).toHaveLength(4)
})

test.each(['Failed', 'Succeeded'] as const)('replaces one that is %s', async (phase) => {
  lead()
  await allReady(3)
  const [over] = pods()
  become(over!, phase)
  await clock.advance(10 * LOOK)
  await allReady(3)
  expect(store.names('pods')).not.toContain(over!.metadata!.name)
})

test('replaces pods with another image, but not those that were claimed meanwhile', async () => {
  lead()
  await allReady(3)
  stop.abort()
  await running
  const before = pods()
  const [claimed] = before
  store.put('pods', { ...claimed!, metadata: { ...claimed!.metadata, labels: { [ROLE_LABEL]: 'app' } } })
  stop = new AbortController()
  let late = true
  lead({ runnerImage: 'fp/runner:2.0' }, () => (late ? before : pods()))
  await clock.advance(0)
  late = false
  await allReady(3)
  expect(store.names('pods')).toContain(claimed!.metadata!.name)
  for (const { metadata } of before.slice(1)) expect(store.names('pods')).not.toContain(metadata!.name)
  const templates = new Set(pods().map(({ metadata }) => metadata!.annotations![TEMPLATE_ANNOTATION]))
  expect(templates.size).toBe(1)
  expect(pods()[0]!.spec!.containers[0]!.image).toBe('fp/runner:2.0')
})

test('a pod that is being deleted is not waiting any more', async () => {
  lead({ poolSize: 1 })
  await allReady(1)
  const [old] = pods()
  store.put('pods', { ...old!, metadata: { ...old!.metadata, deletionTimestamp: new Date() } })
  await clock.advance(2 * LOOK)
  expect(pods()).toHaveLength(2)
  expect(store.asked).not.toContain(`remove pods ${old!.metadata!.name}`)
})

test('shrinks, and keeps those that are ready', async () => {
  lead({ poolSize: 3 })
  await allReady(3)
  const [starting, ...ready] = pods()
  store.put('pods', { ...starting!, status: { phase: 'Pending' } })
  stop.abort()
  await running
  stop = new AbortController()
  lead({ poolSize: 1 })
  await clock.advance(LOOK)
  expect(pods()).toHaveLength(1)
  expect(ready.map(({ metadata }) => metadata!.name)).toContain(names()[0])
})

test('a pool of size 0 has no pods', async () => {
  lead({ poolSize: 0 })
  await clock.advance(60_000)
  expect([store.names('pods'), store.names('secrets')]).toEqual([[], []])
})

test('Secrets are removed once their pods have read them, or if their pods were never made', async () => {
  lead({ poolSize: 2 })
  await clock.advance(10 * LOOK)
  become(pods()[0]!, 'Running')
  const [, starting] = names()
  store.put('secrets', { metadata: { name: 'orphan', labels: { [ROLE_LABEL]: 'pool' } } })
  store.put('secrets', { metadata: { name: 'of somebody else', labels: { [ROLE_LABEL]: 'app' } } })
  await clock.advance(30_000)
  expect(store.names('secrets')).toEqual(['of somebody else', 'orphan', starting].sort())
  await clock.advance(90_000)
  expect(store.names('secrets')).toEqual(['of somebody else', starting].sort())
})

test('a Secret stays until its pod has read it, whatever the clock of the API server says', async () => {
  store.wall = () => clock.wall() - 61_000
  lead({ poolSize: 1 })
  await clock.advance(120_000)
  expect(store.names('secrets')).toEqual(names())
  expect(names()).toHaveLength(1)
})

test('replaces pods that do not become ready in time', async () => {
  lead({ poolSize: 3 })
  await clock.advance(10 * LOOK)
  const stuck = names()
  expect(stuck).toHaveLength(2)
  await clock.advance(9 * 60_000)
  expect(names()).toEqual(stuck)
  await clock.advance(2 * 60_000)
  expect(names()).toHaveLength(2)
  for (const name of stuck) expect(names()).not.toContain(name)
  expect(made()).toBe(4)
  await allReady(3)
})

test('survives an API that refuses, and calls it less and less often', async () => {
  store.before = () => {
    throw refusal(500)
  }
  lead()
  await clock.advance(120_000)
  expect(store.asked.length).toBeLessThan(20)
  store.before = () => undefined
  await clock.advance(30_000)
  await allReady(3)
})

test('leaves nothing behind for a pod that the quota forbids', async () => {
  store.before = (call, kind) => {
    if (call === 'create' && kind === 'pods') throw refusal(403, 'exceeded quota: fp-apps', 'Forbidden')
  }
  lead()
  await clock.advance(600_000)
  expect(store.names('secrets')).toEqual([])
  expect(made()).toBeLessThan(40)
})

test('while pods fail, new ones are made less and less often, until one is ready', async () => {
  lead({ poolSize: 1 })
  for (let look = 0; look < 600; look++) {
    await clock.advance(LOOK)
    for (const pod of pods()) become(pod, 'Failed')
  }
  expect(made()).toBeGreaterThan(5)
  expect(made()).toBeLessThan(25)
  await clock.advance(30_000)
  await allReady(1)
  become(pods()[0]!, 'Failed')
  await clock.advance(4 * LOOK)
  expect(pods()).toHaveLength(1)
})

test('makes its owner again when somebody has deleted it', async () => {
  lead({ poolSize: 2 })
  await allReady(1)
  const before = pods()[0]!.metadata!.ownerReferences![0]!
  expect(before).toMatchObject({ kind: 'ConfigMap', name: 'fp-pool', controller: true })
  store.drop('configmaps', 'fp-pool')
  for (const name of names()) store.drop('pods', name)
  await allReady(2)
  const owners = new Set(pods().map(({ metadata }) => metadata!.ownerReferences![0]!.uid))
  expect([...owners]).toEqual([store.all('configmaps')[0]!.metadata!.uid])
  expect(owners).not.toContain(before.uid)
})

test('ends at once when this process no longer leads', async () => {
  lead()
  await clock.advance(LOOK)
  stop.abort()
  await running
  const asked = store.asked.length
  await clock.advance(60_000)
  expect(store.asked).toHaveLength(asked)
})
