import type { V1ContainerStatus, V1Deployment, V1EndpointSlice, V1Pod } from '@kubernetes/client-node'
import { beforeEach, describe, expect, test } from 'vitest'
import type { TargetState } from '../../types.ts'
import { FakeClock, settle } from '../fake/index.ts'
import type { TakenPod } from './options.ts'
import type { ProbeResult } from './probe.ts'
import { KubernetesTarget } from './target.ts'

let clock: FakeClock
let target: KubernetesTarget
let said: TargetState[]
/** The probe results of pods by address. Pods without an entry do not respond. */
let answers: Map<string, ProbeResult>
/** Addresses in the order in which they were probed. */
let asked: string[]

beforeEach(() => {
  clock = new FakeClock()
  said = []
  asked = []
  answers = new Map()
  const probe = async ({ hostname }: URL): Promise<ProbeResult> => {
    asked.push(hostname)
    const answer = answers.get(hostname)
    if (!answer) throw new Error('nobody there')
    return answer
  }
  target = new KubernetesTarget({ clock, probe, port: 80 }, (state) => void said.push(state))
})

const OWNER = { kind: 'ReplicaSet', controller: true, name: 'app', uid: 'set', apiVersion: 'apps/v1' }
const ip = (name: string): string => `10.0.0.${name.charCodeAt(0)}`

interface PodParts {
  readonly ready?: boolean
  readonly restarts?: number
  readonly deleted?: boolean
  readonly address?: boolean
  readonly loose?: boolean
  readonly container?: Partial<V1ContainerStatus>
  readonly status?: V1Pod['status']
}
function pod(name: string, parts: PodParts = {}): V1Pod {
  const { ready, restarts = 0, deleted, address = true, loose, container, status } = parts
  return {
    metadata: {
      name,
      uid: name,
      ...(loose ? {} : { ownerReferences: [OWNER] }),
      ...(deleted ? { deletionTimestamp: new Date(0) } : {}),
    },
    spec: { containers: [], ...(address ? { nodeName: 'node' } : {}) },
    status: {
      ...(address ? { podIP: ip(name) } : {}),
      ...(ready === undefined ? {} : { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] }),
      containerStatuses: [
        { name: 'app', image: '', imageID: '', ready: ready ?? false, restartCount: restarts, ...container },
      ],
      ...status,
    },
  }
}
function deployment(replicas: number, version: number | string, refused = false): V1Deployment {
  return {
    metadata: { name: 'app', generation: 1, resourceVersion: String(version) },
    spec: { replicas, selector: {}, template: {} },
    status: {
      observedGeneration: 1,
      ...(refused
        ? { conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota: none' }] }
        : {}),
    },
  }
}
const slice = (name: string, ready: boolean): V1EndpointSlice => ({
  addressType: 'IPv4',
  endpoints: [{ addresses: [ip(name)], conditions: { ready }, targetRef: { uid: name } }],
})
const answer = (name: string, result: Partial<ProbeResult> = {}): void =>
  void answers.set(ip(name), { ready: true, ...result })
const ids = (): string[] => target.state.ready.map(({ id }) => id)

/** Creates a Deployment with these pods, which become ready. */
async function awake(...names: string[]): Promise<void> {
  target.deploymentChanged(deployment(names.length, 1))
  for (const name of names) {
    answer(name)
    target.podChanged(pod(name))
  }
  await settle()
}

describe('a requested number of replicas', () => {
  test('applies until an event arrives that is not older', () => {
    target.deploymentChanged(deployment(0, 5))
    target.scaled(3, '9')
    target.deploymentChanged(deployment(1, 8))
    expect(target.replicas).toBe(3)
    target.deploymentChanged(deployment(3, 9))
    expect(target.replicas).toBe(3)
    target.deploymentChanged(deployment(2, 10))
    expect(target.replicas).toBe(2)
  })

  test('is ignored if a newer event has already arrived', () => {
    target.deploymentChanged(deployment(4, 10))
    target.scaled(3, '9')
    expect(target.replicas).toBe(4)
  })

  test('compares versions as numbers', () => {
    target.deploymentChanged(deployment(1, 99))
    target.scaled(2, '100')
    target.deploymentChanged(deployment(1, 99))
    expect(target.replicas).toBe(2)
  })

  test('applies until the next event if versions are not numbers', () => {
    target.deploymentChanged(deployment(0, 'x'))
    target.scaled(1, 'y')
    expect(target.replicas).toBe(1)
    target.deploymentChanged(deployment(2, 'z'))
    expect(target.replicas).toBe(2)
  })

  test('is dropped when the Deployment is deleted', () => {
    target.scaled(3, '9')
    target.deploymentChanged(undefined)
    expect(target.replicas).toBe(0)
    expect(target.empty).toBe(true)
  })

  test('is not dropped before its event arrives', () => {
    target.scaled(0, '9')
    expect(target.empty).toBe(false)
    target.deploymentChanged(deployment(0, 9))
    expect(target.empty).toBe(true)
  })

  test('of 0 makes all pods of the Deployment not ready: they are being deleted', async () => {
    await awake('a')
    expect(ids()).toEqual(['a/0'])
    target.scaled(0, '9')
    expect(ids()).toEqual([])
    expect(said.at(-1)?.ready).toEqual([])
  })

  test('is not judged by an older status of the Deployment', () => {
    target.deploymentChanged(deployment(1, 5, true))
    expect(target.state.failure).toMatchObject({ code: 'KUBERNETES_QUOTA_EXCEEDED' })
    target.scaled(0, '6')
    target.scaled(1, '7')
    expect(said.at(-1)?.failure).toBeUndefined()
    target.deploymentChanged(deployment(1, 7, true))
    expect(said.at(-1)?.failure).toMatchObject({ code: 'KUBERNETES_QUOTA_EXCEEDED' })
  })
})

describe('a pod', () => {
  test('is probed at its own address as soon as it has one, every 25 ms until it is ready', async () => {
    target.deploymentChanged(deployment(1, 1))
    target.podChanged(pod('a', { address: false }))
    await clock.advance(100)
    expect(asked).toEqual([])
    target.podChanged(pod('a'))
    target.podChanged(pod('a', { ready: false }))
    await clock.advance(100)
    expect(asked).toHaveLength(5)
    answer('a')
    await clock.advance(25)
    expect(target.state.ready).toEqual([{ id: 'a/0', url: new URL('http://10.0.0.97:80') }])
    target.podChanged(pod('a', { ready: true }))
    await clock.advance(1_000)
    expect(asked).toHaveLength(6)
    expect(clock.pending).toBe(0)
    expect(said.filter(({ ready }) => ready.length > 0)).toHaveLength(1)
  })

  test('has a URL for any kind of address', async () => {
    target.deploymentChanged(deployment(1, 1))
    answers.set('[fd00::1]', { ready: true })
    target.podChanged(pod('a', { status: { podIP: 'fd00::1' } }))
    await settle()
    expect(target.state.ready[0]!.url.href).toBe('http://[fd00::1]/')
  })

  test('is another endpoint after a restart of any container, and is probed again', async () => {
    await awake('a')
    expect(ids()).toEqual(['a/0'])
    const sidecar = { name: 'side', image: '', imageID: '', ready: true, restartCount: 1 }
    const restarted = pod('a')
    restarted.status!.containerStatuses!.push(sidecar)
    answers.clear()
    target.podChanged(restarted)
    await settle()
    expect(ids()).toEqual([])
    answer('a')
    await clock.advance(25)
    expect(ids()).toEqual(['a/1'])
  })

  test('that crashes is no longer ready, and has failed until it runs again', async () => {
    await awake('a')
    const terminated = { exitCode: 3, reason: 'Error' }
    target.podChanged(pod('a', { container: { state: { terminated } } }))
    expect(target.state).toMatchObject({ ready: [], failure: { code: 'KUBERNETES_CRASHED' } })
    target.podChanged(
      pod('a', { restarts: 1, container: { state: { running: {} }, lastState: { terminated } } }),
    )
    await settle()
    expect(target.state.failure).toBeUndefined()
    expect(ids()).toEqual(['a/1'])
  })

  test('that reports that it cannot start fails the target, and is not probed again in this run', async () => {
    target.deploymentChanged(deployment(1, 1))
    answer('a', { ready: false, failure: { code: 'MINE', message: 'no' } })
    target.podChanged(pod('a'))
    await settle()
    expect(said.at(-1)?.failure).toEqual({ code: 'MINE', message: 'no' })
    await clock.advance(1_000)
    expect(asked).toHaveLength(1)
    answer('a')
    target.podChanged(pod('a', { restarts: 1 }))
    await settle()
    expect(ids()).toEqual(['a/1'])
  })

  test('that fails does not fail the target while another pod is ready', async () => {
    await awake('a', 'b')
    target.podChanged(pod('b', { container: { state: { terminated: { exitCode: 3 } } } }))
    expect(target.state.failure).toBeUndefined()
    expect(ids()).toEqual(['a/0'])
  })
})

describe('a cluster report that a pod is not ready', () => {
  test.each([
    ['kubelet', (ready: boolean) => target.podChanged(pod('a', { ready }))],
    ['an EndpointSlice', (ready: boolean) => target.sliceChanged(slice('a', ready))],
  ])('takes effect until the pod is ready again: by %s', async (_, tell) => {
    await awake('a')
    // Not ready does not count before the pod was ready once.
    tell(false)
    expect(ids()).toEqual(['a/0'])
    tell(true)
    tell(false)
    expect(ids()).toEqual([])
    expect(said.at(-1)?.ready).toEqual([])
    tell(true)
    expect(ids()).toEqual(['a/0'])
    expect(asked).toHaveLength(1)
  })

  test('is ignored for an unknown pod', () => {
    target.sliceChanged(slice('x', false))
    target.sliceChanged({ addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }] })
    expect(said).toEqual([])
  })
})

describe('a pod that is being stopped', () => {
  test('is no longer ready and no longer probed, whoever stops it', async () => {
    await awake('a', 'b')
    target.podChanged(pod('a', { deleted: true }))
    expect(ids()).toEqual(['b/0'])
    expect(target.stop([target.pods.get('b')!])).toEqual(['b/0'])
    expect(said.at(-1)?.ready).toEqual([])
    expect(target.living).toEqual([])
    const before = asked.length
    target.podChanged(pod('b', { ready: true }))
    target.podChanged(pod('b', { restarts: 1 }))
    await clock.advance(1_000)
    expect(asked).toHaveLength(before)
    expect(ids()).toEqual([])
  })

  test('must be deleted until it is known to be terminating', async () => {
    await awake('a')
    target.stop(target.living)
    expect(target.toDelete.map(({ name }) => name)).toEqual(['a'])
    target.podChanged(pod('a', { deleted: true }))
    expect(target.toDelete).toEqual([])
    target.podDeleted(pod('a'))
    expect(target.pods.size).toBe(0)
  })

  test('during a probe leaves nothing behind, and the result of the probe is ignored', async () => {
    target.deploymentChanged(deployment(1, 1))
    target.podChanged(pod('a'))
    await settle()
    target.stop(target.living)
    answer('a')
    await settle()
    expect(clock.pending).toBe(0)
    expect(ids()).toEqual([])
    expect(target.state.failure).toBeUndefined()
  })

  test('has not failed', async () => {
    await awake('a')
    const container = { state: { terminated: { exitCode: 143 } } }
    target.podChanged(pod('a', { deleted: true, container }))
    expect(target.state.failure).toBeUndefined()
  })
})

describe('a pod that its node has ended', () => {
  const evicted = (name: string): V1Pod => pod(name, { status: { phase: 'Failed', reason: 'Evicted' } })

  test('is why the target failed, until there is another one in its place', async () => {
    await awake('a')
    target.podChanged(evicted('a'))
    expect(said.at(-1)).toMatchObject({ ready: [], failure: { code: 'KUBERNETES_EVICTED' } })
    target.podChanged(pod('b'))
    expect(said.at(-1)?.failure).toBeUndefined()
    target.podChanged(pod('b', { container: { state: { terminated: { exitCode: 3 } } } }))
    expect(said.at(-1)?.failure).toMatchObject({ code: 'KUBERNETES_CRASHED' })
  })

  test('is no reason when the target is scaled to zero', async () => {
    await awake('a')
    target.podChanged(evicted('a'))
    target.scaled(0, '9')
    expect(said.at(-1)?.failure).toBeUndefined()
  })
})

describe('a spare pod that is taken', () => {
  const take = async (ready: TakenPod['ready'], name = 's'): Promise<boolean> =>
    target.take(Promise.resolve({ pod: pod(name, { loose: true }), ready }))

  test('is a replica immediately, and is ready when `ready` resolves, without a probe', async () => {
    const told = Promise.withResolvers<Awaited<TakenPod['ready']>>()
    expect(await take(told.promise)).toBe(true)
    expect(target.living).toHaveLength(1)
    target.podChanged(pod('s', { loose: true, ready: true }))
    await clock.advance(100)
    expect(ids()).toEqual([])
    told.resolve({ phases: [] })
    await settle()
    expect(ids()).toEqual(['s/0'])
    expect(asked).toEqual([])
    expect(target.empty).toBe(false)
  })

  test('is no longer probed, even if its event arrived first', async () => {
    const told = Promise.withResolvers<Awaited<TakenPod['ready']>>()
    const taking = Promise.withResolvers<TakenPod>()
    const taken = target.take(taking.promise)
    target.podChanged(pod('s', { loose: true }))
    await clock.advance(50)
    expect(asked.length).toBeGreaterThan(0)
    taking.resolve({ pod: pod('s', { loose: true }), ready: told.promise })
    expect(await taken).toBe(true)
    asked = []
    answer('s')
    await clock.advance(100)
    expect(asked).toEqual([])
    expect(clock.pending).toBe(0)
    told.resolve({ phases: [] })
    await settle()
    expect(ids()).toEqual(['s/0'])
  })

  test('fails with the reported failure, or if `ready` rejects', async () => {
    await take(Promise.resolve({ failure: { code: 'MINE', message: 'no' } }))
    await settle()
    expect(said.at(-1)?.failure).toEqual({ code: 'MINE', message: 'no' })
    target.stop(target.living)
    await take(Promise.reject(new Error('connection lost')), 't')
    await settle()
    expect(said.at(-1)?.failure).toMatchObject({
      code: 'KUBERNETES_NOT_READY',
      message: 'The pod that was taken did not become ready: connection lost',
      details: { pod: 't' },
    })
  })

  test('is not ready if it was stopped in the meantime', async () => {
    const told = Promise.withResolvers<Awaited<TakenPod['ready']>>()
    await take(told.promise)
    target.stop(target.living)
    told.resolve({ phases: [] })
    await settle()
    expect(ids()).toEqual([])
  })

  test('that was deleted while it was taken is not used', async () => {
    const taking = Promise.withResolvers<TakenPod>()
    const taken = target.take(taking.promise)
    target.podChanged(pod('s', { loose: true }))
    target.podDeleted(pod('s', { loose: true }))
    taking.resolve({ pod: pod('s', { loose: true }), ready: Promise.resolve({ phases: [] }) })
    expect(await taken).toBe(false)
    expect(target.pods.size).toBe(0)
  })

  test('does not exist if there is none, or if taking one fails', async () => {
    expect(await target.take(Promise.resolve(undefined))).toBe(false)
    await expect(target.take(Promise.reject(new Error('no')))).rejects.toThrow('no')
  })

  test('has phases that count from when it was taken', async () => {
    target.begin()
    await clock.advance(10)
    const told = Promise.withResolvers<Awaited<TakenPod['ready']>>()
    await take(told.promise)
    await clock.advance(30)
    told.resolve({ phases: [{ name: 'import', at: 20 }] })
    await settle()
    expect(target.state.phases).toEqual([
      { name: 'claimed', at: 10 },
      { name: 'import', at: 30 },
      { name: 'ready', at: 40 },
    ])
  })
})

describe('phases', () => {
  test('are those of the cluster, then those of the container, in order and relative to the begin of the wake', async () => {
    await clock.advance(1_000)
    target.begin()
    target.deploymentChanged(deployment(1, 1))
    await clock.advance(10)
    target.podChanged(pod('a', { address: false }))
    await clock.advance(10)
    answer('a', {
      phases: [
        { name: 'import', at: 12 },
        { name: 'listening', at: 30 },
      ],
    })
    await clock.advance(70)
    target.podChanged(pod('a'))
    await settle()
    expect(target.state.phases).toEqual([
      { name: 'created', at: 10 },
      { name: 'container', at: 60 },
      { name: 'import', at: 72 },
      { name: 'scheduled', at: 90 },
      { name: 'address', at: 90 },
      { name: 'listening', at: 90 },
      { name: 'ready', at: 90 },
    ])
  })

  test('have no negative times', async () => {
    target.begin()
    target.deploymentChanged(deployment(1, 1))
    answer('a', { phases: [{ name: 'listening', at: 60_000 }] })
    target.podChanged(pod('a'))
    await settle()
    expect(target.state.phases!.every(({ at }) => at >= 0)).toBe(true)
  })
})

test('does not report the same state twice, and nothing while it is asleep', async () => {
  target.deploymentChanged(deployment(0, 1))
  target.deploymentChanged(deployment(0, 2))
  expect(said).toEqual([])
  await awake('a')
  const before = said.length
  target.podChanged(pod('a', { ready: true }))
  target.deploymentChanged(deployment(1, 3))
  target.sliceChanged(slice('a', true))
  expect(said).toHaveLength(before)
})

test('leaves no timer behind when it is closed', async () => {
  target.deploymentChanged(deployment(2, 1))
  target.podChanged(pod('a'))
  target.podChanged(pod('b'))
  await settle()
  expect(clock.pending).toBe(2)
  target.close()
  await settle()
  expect(clock.pending).toBe(0)
})
