import type { TakenPod } from '@fp/scaler/kubernetes'
import { FakeClock } from '@fp/scaler/fake'
import type { V1Pod } from '@kubernetes/client-node'
import { randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { podKey, targetPodKey } from './pod-keys.ts'
import type { AppSpec } from '../runtime.ts'
import { DEPLOYMENT_KIND, ownerReferenceOf } from './owners.ts'
import { APP_LABEL, poolLabels, ROLE_LABEL, SOURCE_LABEL, TARGET_LABEL } from './names.ts'
import { createPool, type Pool } from './pool.ts'
import { answer, LocalPod } from './test/local-pod.ts'
import { MemoryStore, refusal } from './test/memory-store.ts'
import { assetOf, specOf } from './test/specs.ts'

const SECRET_KEY = Buffer.alloc(32, 7)
const PATIENT = { timeout: 20_000 }
/** A network of this test's own: each pod has an address, all have the same port. */
const NETWORK = `127.${randomInt(1, 255)}.${randomInt(0, 255)}`
let clock: FakeClock
let store: MemoryStore
let pods: LocalPod[]
let port: number
let owners: Set<string>
let asSpec: typeof specOf

beforeEach(() => {
  clock = new FakeClock()
  store = new MemoryStore()
  pods = []
  port = 0
  owners = new Set()
  asSpec = specOf
})
afterEach(async () => {
  for (const pod of pods) await pod[Symbol.asyncDispose]()
})

/** A waiting pod, in the cluster and on the network. */
async function spare({ key = podKey(SECRET_KEY, `pool-${pods.length + 1}`) } = {}): Promise<LocalPod> {
  const number = pods.length + 1
  const host = `${NETWORK}.${number}`
  const pod = await LocalPod.start(key, host, port)
  port = pod.port
  pods.push(pod)
  store.put<V1Pod>('pods', {
    metadata: { name: `pool-${number}`, labels: poolLabels() },
    status: { podIP: host, conditions: [{ type: 'Ready', status: 'True' }] },
  })
  return pod
}
const stored = (number = 1): V1Pod =>
  store.all<V1Pod>('pods').find(({ metadata }) => metadata!.name === `pool-${number}`)!
const waiting = (): V1Pod[] =>
  store.all<V1Pod>('pods').filter(({ metadata }) => metadata!.labels![ROLE_LABEL] === 'pool')

/** `known`: the pods that a replica knows, which may be outdated. */
function replica(known: () => Iterable<V1Pod> = waiting): Pool {
  return createPool({
    store,
    waiting: known,
    port,
    secretKey: SECRET_KEY,
    clock,
    specOf: async (key) => asSpec(key),
    async ownerReferenceOf(key) {
      owners.add(key)
      return ownerReferenceOf(
        { metadata: { name: `app-${key}`, uid: `uid of ${key}` } },
        DEPLOYMENT_KIND,
        false,
      )
    },
    log: pino({ level: 'silent' }),
  })
}
const signal = (): AbortSignal => AbortSignal.timeout(30_000)
const take = (pool: Pool, key: string): Promise<TakenPod | undefined> => pool.take(key, { signal: signal() })
const told = (): string[][] =>
  pods.map(({ startRequests }) => startRequests.map(({ env }) => env['TARGET'] ?? 'nobody'))
const bodies = (): number => pods.reduce((sum, pod) => sum + pod.bodies.length, 0)
const namedSpec: typeof specOf = (key) => ({ ...specOf(key), env: { TARGET: key } })

describe('a taken pod', () => {
  test('belongs to the target, by its labels and by its start request', async () => {
    const pod = await spare()
    const taken = await take(replica(), 'a.1.0')
    expect(await taken!.ready).toEqual({ phases: [{ name: 'ready', at: 12 }] })
    expect(pod.startRequests).toMatchObject([{ mode: 'serve', files: specOf('a.1.0').files }])
    const { labels, ownerReferences } = stored().metadata!
    expect(labels).toMatchObject({
      [ROLE_LABEL]: 'app',
      [APP_LABEL]: 'a',
      [TARGET_LABEL]: 'a.1.0',
      [SOURCE_LABEL]: 'pool',
      'app.kubernetes.io/component': 'app',
    })
    expect(ownerReferences).toMatchObject([{ kind: 'Deployment', uid: 'uid of a.1.0', controller: true }])
    expect(taken!.pod).toEqual(stored())
  })

  test('is never the same for two concurrent replicas, whatever pods they know', async () => {
    asSpec = namedSpec
    for (let number = 0; number < 6; number++) await spare()
    const before = waiting()
    const replicas = [replica(() => before), replica(() => before)]
    const keys = Array.from({ length: 6 }, (_, index) => `app${index}.1.0`)
    const taken = await Promise.all(keys.map((key, index) => take(replicas[index % 2]!, key)))
    await Promise.all(taken.map((one) => one!.ready))
    expect(new Set(taken.map((one) => one!.pod.metadata!.name)).size).toBe(6)
    expect(told().flat().sort()).toEqual(keys)
    expect(told().every((startRequests) => startRequests.length === 1)).toBe(true)
    expect(await take(replicas[0]!, 'late.1.0')).toBeUndefined()
  })

  test('is ready, is not being deleted, and has an address', async () => {
    await spare()
    const pool = replica()
    const { status, metadata } = stored()
    const others: Partial<V1Pod>[] = [
      { status: { ...status, conditions: [{ type: 'Ready', status: 'False' }] } },
      { metadata: { ...metadata, deletionTimestamp: new Date() } },
      { status: { conditions: status!.conditions! } },
    ]
    for (const other of others) {
      store.put('pods', { metadata: metadata!, status: status!, ...other })
      expect(await take(pool, 'a.1.0')).toBeUndefined()
    }
    expect(stored().metadata!.labels![ROLE_LABEL]).toBe('pool')
  })

  test('reports why the app did not start, with the message of the runner', async () => {
    const pod = await spare()
    const failure = {
      code: 'FP_APP_IMPORT_FAILED',
      message: 'No',
      traceback: 'Trace',
      file: 'app.py',
      line: 3,
    }
    pod.onStartRequest = (response) => answer(response, 422, { failure })
    const taken = await take(replica(), 'a.1.0')
    expect(await taken!.ready).toEqual({
      failure: { code: 'FP_APP_IMPORT_FAILED', message: 'No', details: failure },
    })
  })

  test('that ends while the app starts is a failure, not an endless wait', async () => {
    const pod = await spare()
    pod.onStartRequest = (response) => void response.destroy()
    const taken = await take(replica(), 'a.1.0')
    expect(await taken!.ready).toMatchObject({
      failure: {
        code: 'FP_CLUSTER_POD',
        message: expect.stringContaining('ended while it started') as string,
      },
    })
  })
})

describe('a pod that does not answer', () => {
  test('is deleted, and another one taken', async () => {
    asSpec = namedSpec
    await spare()
    await spare()
    await pods[0]![Symbol.asyncDispose]()
    // Whichever it begins with.
    const pool = replica()
    await (await take(pool, 'a.1.0'))!.ready
    await take(pool, 'b.1.0')
    expect(told()).toEqual([[], ['a.1.0']])
    expect(store.names('pods')).toEqual(['pool-2'])
    pods.shift()
  })

  test('and an impostor get no start request, and the Deployment is used', async () => {
    const impostor = await spare({ key: podKey(Buffer.alloc(32, 8), 'pool-1') })
    expect(await take(replica(), 'a.1.0')).toBeUndefined()
    expect([impostor.bodies.length, store.names('pods')]).toEqual([0, []])
  })

  test('and cannot be deleted does not keep the app from another one', async () => {
    await spare({ key: 'another' })
    store.before = (call) => {
      if (call === 'remove') throw refusal(500)
    }
    expect(await take(replica(), 'a.1.0')).toBeUndefined()
  })
})

test('a target that was replaced takes no pod', async () => {
  await spare()
  asSpec = () => {
    throw new Error('a.1.0 is older than what is live')
  }
  await expect(take(replica(), 'a.1.0')).rejects.toThrow('older than what is live')
  expect([waiting().length, bodies(), owners.size]).toEqual([1, 0, 0])
})

test.each<[string, Partial<AppSpec>]>([
  ['storage', { storage: true }],
  ['artifacts', { artifacts: [{ kind: 'python-packages', digest: 'ab12' }] }],
  ['memory of its own', { limits: { memoryBytes: 2 ** 30 } }],
  ['processor cores of its own', { limits: { cpus: 2 } }],
  ['a /tmp of its own', { limits: { tmpBytes: 2 ** 30 } }],
])('an app with %s takes no pod, for one that runs has what it has', async (_what, parts) => {
  await spare()
  asSpec = (key) => ({ ...specOf(key), ...parts })
  const pool = replica()
  expect(await take(pool, 'a.1.0')).toBeUndefined()
  expect(await pool.check(asSpec('a.1.0'), { signal: new AbortController().signal })).toBeUndefined()
  expect([waiting().length, bodies(), owners.size]).toEqual([1, 0, 0])
})

test('an aborted take claims no pod, and leaves none behind without a start request', async () => {
  const pod = await spare()
  const stop = new AbortController()
  stop.abort(new Error('not wanted any more'))
  await expect(replica().take('a.1.0', { signal: stop.signal })).rejects.toThrow('not wanted any more')
  expect(waiting()).toHaveLength(1)
  const later = new AbortController()
  pod.onProof = () => later.abort(new Error('not wanted any more'))
  await expect(replica().take('a.1.0', { signal: later.signal })).rejects.toThrow('not wanted any more')
  expect([store.names('pods'), bodies()]).toEqual([[], 0])
})

describe('a claimer that dies after its claim', () => {
  /** A claimed pod without a start request, as a dead claimer leaves it. */
  async function claimed(): Promise<V1Pod> {
    const pod = await spare()
    const taken = await take(replica(), 'a.1.0')
    await taken!.ready
    pod.startRequests.length = 0
    pod.bodies.length = 0
    return stored()
  }

  test('is replaced by another replica after two seconds, and not earlier', async () => {
    const pod = await claimed()
    let asked = 0
    asSpec = (key) => {
      asked++
      return namedSpec(key)
    }
    const other = replica()
    other.seenWaiting(pod)
    await clock.advance(2_000)
    other.seenWaiting(pod)
    await clock.advance(1)
    expect(asked).toBe(0)
    other.seenWaiting(pod)
    expect(asked).toBe(1)
    await expect.poll(told, PATIENT).toEqual([['a.1.0']])
  })

  test('is not replaced while it sends the start request itself', async () => {
    const pod = await spare()
    const answered = Promise.withResolvers<void>()
    pod.onStartRequest = (response) =>
      void answered.promise.then(() => answer(response, 200, { ready: true }))
    const pool = replica()
    const taken = await take(pool, 'a.1.0')
    await expect.poll(() => pod.startRequests.length, PATIENT).toBe(1)
    for (let second = 0; second < 30; second++) {
      pool.seenWaiting(stored())
      await clock.advance(1_000)
    }
    answered.resolve()
    await taken!.ready
    expect(pod.connections).toBe(1)
  })

  test('is replaced by one attempt at a time, and by another one five seconds later', async () => {
    const pod = await claimed()
    let proofs = 0
    pods[0]!.onProof = (response) => {
      proofs++
      answer(response, 503, {})
    }
    const other = replica()
    async function seenFor(seconds: number): Promise<void> {
      for (let tenth = 0; tenth < seconds * 10; tenth++) {
        other.seenWaiting(pod)
        await clock.advance(100)
      }
    }
    await seenFor(3)
    await expect.poll(() => proofs, PATIENT).toBe(1)
    // Of what has failed nothing is under way any more.
    await expect
      .poll(async () => {
        await seenFor(1)
        return proofs
      }, PATIENT)
      .toBe(2)
    expect(clock.now()).toBeGreaterThan(7_000)
    pods[0]!.onProof = undefined
    await expect
      .poll(async () => {
        await seenFor(1)
        return pods[0]!.startRequests.length
      }, PATIENT)
      .toBe(1)
  })

  test('whose target was replaced leaves a pod that gets no start request', async () => {
    const pod = await claimed()
    let asked = 0
    asSpec = () => {
      asked++
      throw new Error('a.1.0 is older than what is live')
    }
    const other = replica()
    other.seenWaiting(pod)
    await clock.advance(3_000)
    other.seenWaiting(pod)
    await expect.poll(() => asked, PATIENT).toBe(1)
    expect(bodies()).toBe(0)
  })
})

describe('a pod of a Deployment that is sent its start request', () => {
  const CONTENT = Buffer.from('the content of an asset')
  const withAsset: typeof specOf = (key) => ({ ...namedSpec(key), assets: [assetOf('a.bin', CONTENT)] })

  async function deployed(): Promise<V1Pod> {
    await spare({ key: targetPodKey(SECRET_KEY, 'a.1.0') })
    const { metadata, status } = stored()
    const labels = { [TARGET_LABEL]: 'a.1.0', [SOURCE_LABEL]: 'deployment', [ROLE_LABEL]: 'app' }
    const pod = { metadata: { ...metadata, labels }, status: status! }
    store.put<V1Pod>('pods', pod)
    return stored()
  }

  test('gets it as soon as the pod is seen, with its assets', async () => {
    asSpec = withAsset
    const pod = await deployed()
    replica().seenWaiting(pod)
    await expect.poll(() => pods[0]!.contents, PATIENT).toEqual([CONTENT])
    expect(told()).toEqual([['a.1.0']])
  })

  test('accepts one of the start requests that several replicas send at once', async () => {
    asSpec = withAsset
    const pod = await deployed()
    const answered = Promise.withResolvers<void>()
    pods[0]!.onStartRequest = (response) =>
      void answered.promise.then(() => answer(response, 200, { ready: true }))
    for (const one of [replica(), replica(), replica()]) one.seenWaiting(pod)
    await expect.poll(() => pods[0]!.connections, PATIENT).toBe(3)
    await expect.poll(() => pods[0]!.contents, PATIENT).toEqual([CONTENT])
    answered.resolve()
    expect(told()).toEqual([['a.1.0']])
  })

  test('gets it again when its container was restarted', async () => {
    asSpec = withAsset
    const pod = await deployed()
    const pool = replica()
    pool.seenWaiting(pod)
    await expect.poll(() => pods[0]!.contents, PATIENT).toHaveLength(1)
    pods[0]!.startRequests.length = 0
    await expect
      .poll(async () => {
        pool.seenWaiting(pod)
        await clock.advance(1_000)
        return told()
      }, PATIENT)
      .toEqual([['a.1.0']])
    expect(clock.now()).toBeGreaterThan(5_000)
  })
})

describe('a claimer that is so slow that another replica sends the start request', () => {
  const ready = (response: ServerResponse): void =>
    void response.writeHead(204, { 'server-timing': 'imported;dur=3, ready;dur=9' }).end()
  const phases = [
    { name: 'imported', at: 3 },
    { name: 'ready', at: 9 },
  ]

  test('before the proof has the app all the same', async () => {
    const pod = await spare()
    pod.onProof = (response) => answer(response, 409, { code: 'FP_POD_CLAIMED' })
    pod.onReady = ready
    const taken = await take(replica(), 'a.1.0')
    expect(await taken!.ready).toEqual({ phases })
    expect(store.names('pods')).toEqual(['pool-1'])
  })

  test('between the proof and the start request, too', async () => {
    const pod = await spare()
    pod.startRequests.push({ mode: 'serve', files: {}, env: {} })
    pod.onReady = ready
    const taken = await take(replica(), 'a.1.0')
    expect(await taken!.ready).toEqual({ phases })
    expect([store.names('pods'), pod.startRequests.length]).toEqual([['pool-1'], 1])
  })

  test('gets the reason why the app did not start', async () => {
    const pod = await spare()
    const report = {
      code: 'FP_APP_IMPORT_FAILED',
      message: 'No',
      traceback: null,
      file: 'app.py',
      line: 3,
    }
    pod.onProof = (response) => answer(response, 409, { code: 'FP_POD_CLAIMED' })
    pod.onReady = (response) => answer(response, 500, report)
    const taken = await take(replica(), 'a.1.0')
    expect(await taken!.ready).toEqual({ failure: { code: report.code, message: 'No', details: report } })
  })
})

describe('a check', () => {
  const check = (pool: Pool, stop = signal()): ReturnType<Pool['check']> =>
    pool.check(specOf('trial1.1.0'), { signal: stop })

  test('loads the app in a pod of its own, and deletes the pod', async () => {
    const pod = await spare()
    let labels: V1Pod['metadata']
    pod.onStartRequest = (response) => {
      labels = stored().metadata!
      answer(response, 200, { ready: true, kind: 'fastapi', phases: [] })
    }
    expect(await check(replica())).toEqual({ ok: true })
    expect(pod.startRequests).toMatchObject([{ mode: 'check' }])
    expect(labels!.labels).toMatchObject({ [ROLE_LABEL]: 'check', [APP_LABEL]: 'trial1' })
    expect(labels!.labels).not.toHaveProperty(TARGET_LABEL)
    expect(store.names('pods')).toEqual([])
  })

  test('reports why the app does not load', async () => {
    const pod = await spare()
    const failure = { code: 'FP_APP_IMPORT_FAILED', message: 'No', traceback: null, file: null, line: null }
    pod.onStartRequest = (response) => answer(response, 422, { failure })
    expect(await check(replica())).toEqual({ ok: false, failure })
    expect(store.names('pods')).toEqual([])
  })

  test('whose pod the app takes down with it is a failure', async () => {
    const pod = await spare()
    pod.onStartRequest = (response) => void response.destroy()
    expect(await check(replica())).toMatchObject({ ok: false, failure: { code: 'FP_CLUSTER_POD' } })
    expect(store.names('pods')).toEqual([])
  })

  test('that nobody waits for any more ends at once, and deletes its pod', async () => {
    const pod = await spare()
    pod.onStartRequest = () => undefined
    const stop = new AbortController()
    const checked = check(replica(), stop.signal)
    await expect.poll(() => pod.startRequests.length, PATIENT).toBe(1)
    stop.abort(new Error('not wanted any more'))
    await expect(checked).rejects.toThrow('not wanted any more')
    expect(store.names('pods')).toEqual([])
  })

  test('has its result even if the pod cannot be deleted', async () => {
    await spare()
    store.before = (call) => {
      if (call === 'remove') throw refusal(500)
    }
    expect(await check(replica())).toEqual({ ok: true })
  })

  test('has no pod if none waits', async () => {
    expect(await check(replica())).toBeUndefined()
  })
})
