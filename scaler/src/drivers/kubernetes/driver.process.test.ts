import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { News } from '../../contract/news.ts'
import { TARGET, TestCluster } from '../../../test/test-cluster.ts'
import type { ScaleOptions, TargetState } from '../../types.ts'
import { systemClock, type Clock } from '../../clock.ts'
import { createKubernetesDriver } from './driver.ts'
import type { KubernetesDriver, KubernetesDriverOptions, SparePods, TakenPod } from './options.ts'

/** A generous limit, because the machine may be busy. */
const poll = <T>(look: () => T) => expect.poll(look, { timeout: 10_000 })
const { signal } = new AbortController()
/** A clock that runs twenty times as fast as real time. */
const FAST: Clock = {
  now: () => systemClock.now() * 20,
  wall: () => systemClock.wall(),
  schedule: (ms, fn) => systemClock.schedule(ms / 20, fn),
}
const SCALE = 'PATCH deployments/app/scale'

let cluster: TestCluster
let driver: KubernetesDriver
let gone: string[]
let news: News
const others: KubernetesDriver[] = []

beforeEach(async () => {
  cluster = await TestCluster.start()
  cluster.deployment('app')
  gone = []
  driver = await connect({ onDeploymentGone: (key) => void gone.push(key) })
  news = await News.of(driver)
})
afterEach(async () => {
  for (const key of ['deployments', 'pods'] as const) cluster.release(key)
  await news[Symbol.asyncDispose]()
  for (const one of [driver, ...others.splice(0)]) await one[Symbol.asyncDispose]()
  await cluster[Symbol.asyncDispose]()
})

const connect = (options: Partial<KubernetesDriverOptions> = {}): Promise<KubernetesDriver> =>
  createKubernetesDriver({
    kubeConfig: cluster.config,
    namespace: 'apps',
    targetLabel: TARGET,
    port: 80,
    readiness: async (_address, _signal, pod) => ({ ready: cluster.answering.has(pod.metadata!.name!) }),
    ...options,
  })
const scale = (replicas: number, options: Partial<ScaleOptions> = {}): Promise<void | readonly string[]> =>
  driver.scale('app', replicas, { signal, ...options })
/** The names of the pods that were ready in the last report. */
const ready = (): string[] => news.ready('app').map(nameOf)
const nameOf = (id: string): string => id.replace(/-uid\/\d+$/, '')
const idOf = (name: string): string => `${name}-uid/0`
const isReady =
  (...names: string[]) =>
  ({ ready }: TargetState): boolean =>
    ready.length === names.length && ready.every(({ id }) => names.includes(nameOf(id)))

/** Makes these pods respond, and the kubelet report them as ready. */
function answer(...names: string[]): void {
  for (const name of names) {
    cluster.answering.add(name)
    cluster.kubelet(name, true)
  }
}

/** A container of the pod has ended and waits for its restart. */
function crash(name: string): void {
  cluster.change(name, ({ status }) => {
    const lastState = { terminated: { exitCode: 1 } }
    const state = { waiting: { reason: 'CrashLoopBackOff' } }
    const container = { name: 'app', image: '', imageID: '', ready: false, restartCount: 0 }
    status!.containerStatuses = [{ ...container, state, lastState }]
  })
}

async function wake(replicas: number): Promise<string[]> {
  await scale(replicas)
  const names = cluster.alive('app')
  answer(...names)
  await news.until('app', isReady(...names))
  return names
}

/** Resolves when the driver has received all events so far. */
async function eventsArrived(): Promise<void> {
  cluster.deployment('other', 1)
  const [name] = cluster.alive('other').slice(-1)
  answer(name!)
  await news.until('other', isReady(...cluster.alive('other')))
  cluster.deployment('other', 0)
  await news.until('other', isReady())
}

async function replaceDriver(options: Partial<KubernetesDriverOptions>): Promise<void> {
  await news[Symbol.asyncDispose]()
  await driver[Symbol.asyncDispose]()
  driver = await connect(options)
  news = await News.of(driver)
}

describe('scaled to zero', () => {
  test('a pod that becomes ready during the scale-down is not used again', async () => {
    await scale(1)
    const [first] = cluster.alive('app')
    cluster.fate = async (asked) => {
      if (asked !== SCALE) return undefined
      cluster.fate = () => undefined
      answer(first!)
      await news.until('app', isReady(first!))
      // The ReplicaSet is slow: it does not see 0 replicas, only the later 1, which equals the current number of pods.
      cluster.sets = false
      return undefined
    }
    const [stopped] = await Promise.all([scale(0), scale(1)])
    cluster.sets = true
    cluster.deployment('app', cluster.replicas('app'))
    expect(stopped).toEqual([idOf(first!)])
    await eventsArrived()
    expect(cluster.alive('app')).toHaveLength(1)
    expect(cluster.alive('app')).not.toEqual([first])
    expect(ready()).toEqual([])
  })

  test('and back to one, scales up even if late events of the first scale-up arrive in between', async () => {
    cluster.deployment('other')
    cluster.sets = false
    cluster.hold('deployments')
    await scale(1)
    cluster.removeDeployment('other')
    await scale(0)
    cluster.release('deployments', 2)
    await poll(() => gone).toEqual(['other'])
    await scale(1)
    expect(cluster.replicas('app')).toBe(1)
  })

  test('pods that could not be deleted are deleted at the next attempt', async () => {
    const loose = cluster.loosePod('app').metadata!.name!
    await eventsArrived()
    cluster.fate = (asked) => (asked.startsWith('DELETE') ? 403 : undefined)
    await expect(scale(0)).rejects.toThrow('403')
    cluster.fate = () => undefined
    expect(await scale(0)).toEqual([idOf(loose)])
    expect(cluster.pods('app')).toEqual([])
  })

  test('the ReplicaSet does not replace the stopped pods', async () => {
    cluster.lag = 50
    await scale(2)
    await poll(() => cluster.alive('app')).toHaveLength(2)
    const names = cluster.alive('app')
    answer(...names)
    await news.until('app', isReady(...names))
    await scale(1, { remove: [idOf(names[1]!)] })
    await scale(0)
    expect(cluster.pods('app')).toEqual([])
    expect(cluster.asked.filter((asked) => asked.startsWith('DELETE'))).toEqual([])
    cluster.lag = 0
    await eventsArrived()
    expect(cluster.made).toBe(3)
  })

  test('the driver does not wait forever for a ReplicaSet that does nothing', async () => {
    await replaceDriver({ clock: FAST })
    await wake(1)
    cluster.sets = false
    await scale(0)
    expect(cluster.pods('app')).toEqual([])
  })

  test('failed pods are deleted too', async () => {
    const [name] = await wake(1)
    cluster.change(name!, (pod) => (pod.status = { phase: 'Failed', reason: 'Evicted', message: 'memory' }))
    await news.until('app', ({ failure }) => failure?.code === 'KUBERNETES_EVICTED')
    await scale(0)
    expect(cluster.pods('app')).toEqual([])
  })

  test('the target is dropped when the cluster confirms that it has no pods', async () => {
    await wake(1)
    await scale(0)
    await eventsArrived()
    await using late = await News.of(driver)
    expect(late.of('app')).toEqual([])
  })
})

describe('the number of replicas', () => {
  test('is the latest one, even if its event arrives before the response', async () => {
    cluster.done = async (asked) => {
      if (asked !== SCALE) return
      cluster.done = () => undefined
      // Another client scales the Deployment.
      cluster.deployment('app', 3)
      await eventsArrived()
    }
    await scale(1)
    const names = cluster.alive('app')
    expect(names).toHaveLength(3)
    answer(...names)
    await news.until('app', isReady(...names))
    await scale(1, { remove: names.slice(1).map(idOf) })
    expect(cluster.alive('app')).toEqual([names[0]])
  })

  test.each(['lost', 429, 503] as const)('is requested again if the request was %s', async (fate) => {
    const fates = [fate, fate]
    cluster.fate = () => fates.shift()
    await scale(2)
    expect(cluster.asked).toEqual([SCALE, SCALE, SCALE])
    expect(cluster.alive('app')).toHaveLength(2)
  })

  test('is not requested again if the request was refused or aborted', async () => {
    cluster.fate = () => 403
    await expect(scale(1)).rejects.toMatchObject({ status: 403 })
    expect(cluster.asked).toEqual([SCALE])
    const stop = new AbortController()
    cluster.fate = () => {
      stop.abort(new Error('not wanted'))
      return 503
    }
    await expect(scale(1, { signal: stop.signal })).rejects.toThrow('not wanted')
    expect(cluster.asked).toEqual([SCALE, SCALE])
  })

  test('rejects when the retries fail too', async () => {
    await replaceDriver({ clock: FAST })
    cluster.fate = () => 503
    await expect(scale(1)).rejects.toMatchObject({ status: 503 })
    expect(cluster.asked.length).toBeGreaterThan(2)
  })

  test('is 0 after the Deployment was deleted', async () => {
    const prepared: string[] = []
    await replaceDriver({
      prepare: async (key) => {
        prepared.push(key)
        if (prepared.length === 2) cluster.deployment(key)
      },
    })
    await wake(1)
    cluster.removeDeployment('app')
    await news.until('app', isReady())
    await wake(1)
    expect(prepared).toEqual(['app', 'app'])
  })

  test('is the requested one, even if somebody else requests the same number at the same time', async () => {
    await replaceDriver({
      prepare: async () => {
        cluster.deployment('app', 2)
        await eventsArrived()
      },
    })
    await scale(2)
    expect(cluster.replicas('app')).toBe(2)
  })

  test('is shared by two drivers', async () => {
    const other = await connect()
    others.push(other)
    await wake(1)
    await poll(() => cluster.alive('app')).toHaveLength(1)
    await eventsArrived()
    await other.scale('app', 3, { signal })
    const names = cluster.alive('app')
    expect(names).toHaveLength(3)
    answer(...names)
    await news.until('app', isReady(...names))
    await scale(2, { remove: [idOf(names[0]!)] })
    expect(cluster.alive('app')).toEqual(names.slice(1))
    await using late = await News.of(other)
    await late.until('app', isReady(...names.slice(1)))
    await other.scale('app', 0, { signal })
    await news.until('app', isReady())
    expect(cluster.pods('app')).toEqual([])
  })
})

describe('fewer replicas', () => {
  test('are reached even if a pod to stop has already ended', async () => {
    const [first, second] = await wake(2)
    cluster.sets = false
    cluster.hold('pods')
    cluster.vanish(second!)
    await scale(1, { remove: [idOf(second!)] })
    expect(cluster.replicas('app')).toBe(1)
    expect(cluster.alive('app')).toEqual([first])
  })

  test('wait until the kubelet reports the remaining pods as ready', async () => {
    await scale(2)
    const [first, second] = cluster.alive('app')
    cluster.answering.add(first!)
    answer(second!)
    await news.until('app', isReady(first!, second!))
    const shrunk = scale(1, { remove: [idOf(second!)] })
    await poll(() => cluster.asked.at(-1)).toBe(`PATCH pods/${second}`)
    await eventsArrived()
    expect(cluster.replicas('app')).toBe(2)
    cluster.kubelet(first!, true)
    await shrunk
    expect(cluster.alive('app')).toEqual([first])
  })

  test('replace the unused pod if the ReplicaSet has deleted another one', async () => {
    await replaceDriver({ clock: FAST })
    await scale(2)
    const [first, second] = cluster.alive('app')
    cluster.answering.add(first!)
    answer(second!)
    await news.until('app', isReady(first!, second!))
    // The kubelet never reports the first pod as ready, so the ReplicaSet deletes it first.
    await scale(1, { remove: [idOf(second!)] })
    const alive = cluster.alive('app')
    expect(alive).toHaveLength(1)
    expect([first, second]).not.toContain(alive[0])
    answer(...alive)
    await news.until('app', isReady(...alive))
  })

  test('exclude pods that are about to be stopped from the ready set', async () => {
    await scale(1)
    const [first] = cluster.alive('app')
    cluster.answering.add(first!)
    await news.until('app', isReady(first!))
    await scale(2)
    const second = cluster.alive('app')[1]!
    await eventsArrived()
    const shrunk = scale(1)
    await poll(() => cluster.asked.at(-1)).toBe(`PATCH pods/${second}`)
    answer(second)
    await eventsArrived()
    cluster.kubelet(first!, true)
    expect(await shrunk).toEqual([idOf(second)])
    expect(cluster.alive('app')).toEqual([first])
    expect(news.of('app').some(({ ready }) => ready.some(({ id }) => id === idOf(second)))).toBe(false)
  })

  test('after a failed scale-down, leave no unused pod behind', async () => {
    const [first, second] = await wake(2)
    cluster.fate = (asked) => (asked === SCALE ? 403 : undefined)
    await expect(scale(1, { remove: [idOf(second!)] })).rejects.toThrow('403')
    cluster.fate = () => undefined
    await scale(2)
    const [kept, third] = cluster.alive('app')
    expect(kept).toBe(first)
    expect(third).not.toBe(second)
    answer(third!)
    await news.until('app', isReady(first!, third!))
  })

  test('after a failed scale-down, are reached at the next attempt', async () => {
    const [first, second] = await wake(2)
    cluster.fate = (asked) => (asked === SCALE ? 403 : undefined)
    await expect(scale(1, { remove: [idOf(second!)] })).rejects.toThrow('403')
    cluster.fate = () => undefined
    await scale(1, { remove: [idOf(second!)] })
    expect(cluster.alive('app')).toEqual([first])
    expect(ready()).toEqual([first])
  })
})

describe('the same number of replicas', () => {
  test('with `remove` replaces the named pods at once, without a change of the Deployment', async () => {
    const [first, second] = await wake(2)
    cluster.asked.length = 0
    expect(await scale(2, { remove: [idOf(first!)] })).toEqual([idOf(first!)])
    expect(cluster.asked).toEqual([`DELETE pods/${first}`])
    const [kept, third] = cluster.alive('app')
    expect(kept).toBe(second)
    answer(third!)
    await news.until('app', isReady(second!, third!))
  })

  test('with `remove` replaces a pod that no ReplicaSet controls', async () => {
    const [first] = await wake(1)
    const loose = cluster.loosePod('app').metadata!.name!
    answer(loose)
    await news.until('app', isReady(first!, loose))
    await scale(2, { remove: [idOf(loose)] })
    const [kept, third] = cluster.alive('app')
    expect([kept, cluster.replicas('app')]).toEqual([first, 2])
    answer(third!)
    await news.until('app', isReady(first!, third!))
  })

  test('replaces a pod that waits for its restart while another is ready', async () => {
    const [first, second] = await wake(2)
    crash(second!)
    await news.until('app', isReady(first!))
    await scale(2)
    const [kept, third] = cluster.alive('app')
    expect(kept).toBe(first)
    expect([second, undefined]).not.toContain(third)
  })

  test('keeps a crashed pod that is the only one: its failure is reported', async () => {
    const [first] = await wake(1)
    crash(first!)
    await news.until('app', ({ failure }) => failure !== undefined)
    await scale(1)
    expect(cluster.alive('app')).toEqual([first])
  })
})

test('a scale-down with more pods in `remove` than must go makes the missing ones', async () => {
  const names = await wake(3)
  await scale(2, { remove: names.slice(1).map(idOf) })
  const alive = cluster.alive('app')
  expect([alive.length, cluster.replicas('app')]).toEqual([2, 2])
  expect(alive.filter((name) => names.includes(name))).toEqual([names[0]])
})

test('a probe says that a pod answers, with any status, and that it is gone', async () => {
  const [name] = await wake(1)
  const [endpoint] = news.of('app').at(-1)!.ready
  expect(await driver.probe('app', endpoint!, signal)).toBe(true)
  cluster.answering.delete(name!)
  expect(await driver.probe('app', endpoint!, signal)).toBe(true)
  await scale(0)
  expect(await driver.probe('app', endpoint!, signal)).toBe(false)
})

test('a pod whose target label was changed gets no more requests and keeps running', async () => {
  const [name] = await wake(1)
  cluster.change(name!, ({ metadata }) => (metadata!.labels![TARGET] = 'quarantine'))
  await news.until('app', isReady())
  await poll(() => cluster.alive('app')).toHaveLength(1)
  const others = cluster.alive('app')
  answer(...others)
  await news.until('app', isReady(...others))
  await scale(0)
  expect(cluster.alive('quarantine')).toEqual([name])
})

describe('a spare pod', () => {
  const spare = (take: () => TakenPod | undefined | Promise<TakenPod>): SparePods => ({
    take: () => Promise.resolve(take()),
  })

  test('is used as a replica instead of a pod of the Deployment', async () => {
    const told = Promise.withResolvers<Awaited<TakenPod['ready']>>()
    await replaceDriver({ spares: spare(() => ({ pod: cluster.loosePod('app'), ready: told.promise })) })
    await scale(1)
    expect(cluster.asked).toEqual([])
    told.resolve({ phases: [{ name: 'import', at: 5 }] })
    const [name] = cluster.alive('app')
    const { phases } = await news.until('app', isReady(name!))
    expect(phases!.map(({ name }) => name)).toEqual(expect.arrayContaining(['claimed', 'import', 'ready']))
    await scale(1)
    expect(cluster.pods('app')).toHaveLength(1)
    await scale(0)
    expect(cluster.pods('app')).toEqual([])
  })

  test('that cannot be assigned to the target fails the wake', async () => {
    await replaceDriver({
      spares: spare(() => ({ pod: cluster.loosePod('app'), ready: Promise.reject(new Error('no answer')) })),
    })
    await scale(1)
    const { failure } = await news.until('app', ({ failure }) => failure !== undefined)
    expect(failure).toMatchObject({ code: 'KUBERNETES_NOT_READY' })
    expect(failure!.message).toMatch('no answer')
  })

  test('that is deleted while it is taken is not used', async () => {
    let ended = 0
    await replaceDriver({
      onPod: (_pod, gone) => void (ended += Number(gone)),
      spares: spare(async () => {
        const pod = cluster.loosePod('app')
        cluster.vanish(pod.metadata!.name!)
        await poll(() => ended).toBe(1)
        return { pod, ready: Promise.resolve({ phases: [] }) }
      }),
    })
    await scale(1)
    expect(cluster.asked).toEqual([SCALE])
    const names = cluster.alive('app')
    answer(...names)
    await news.until('app', isReady(...names))
    expect(news.of('app').flatMap(({ ready }) => ready)).toHaveLength(1)
  })
})
