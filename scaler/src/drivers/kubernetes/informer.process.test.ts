import type { KubernetesObject } from '@kubernetes/client-node'
import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TestApiServer } from '../../../test/api-server.ts'
import { FakeClock } from '../fake/index.ts'
import { KubernetesApi } from './api.ts'
import { createInformer, type Informer } from './informer.ts'

let server: TestApiServer
let api: KubernetesApi
let clock: FakeClock
let told: string[]
let errors: Error[]
let informer: Informer<KubernetesObject>

beforeEach(async () => {
  server = await TestApiServer.start()
  api = new KubernetesApi(server.config)
  clock = new FakeClock()
  told = []
  errors = []
})
afterEach(async () => {
  await informer?.[Symbol.asyncDispose]()
  await api[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

async function follow(): Promise<void> {
  informer = await createInformer({
    api,
    path: '/things',
    clock,
    changed: ({ metadata }) => void told.push(`${metadata!.name} ${metadata!.uid}`),
    deleted: ({ metadata }) => void told.push(`${metadata!.name} gone`),
    failed: (error) => void errors.push(error),
  })
  await watching()
}

const watching = (): Promise<void> => expect.poll(() => server.watches.size).toBe(1)
/** Ends the watch, and waits for the next one. */
async function resumes(how: 'end' | 'destroy'): Promise<void> {
  const watches = (): number => server.asked.filter((what) => what.startsWith('watch')).length
  const before = watches()
  server.breakOff(how)
  await expect
    .poll(
      async () => {
        await clock.advance(100)
        return watches() > before && server.watches.size === 1
      },
      { timeout: 10_000 },
    )
    .toBe(true)
}
const hears = (...news: string[]): Promise<void> => expect.poll(() => told).toEqual(news)
const names = (): (string | undefined)[] => [...informer.objects()].map(({ metadata }) => metadata?.name)

test('reports all objects from all pages of the list, then all changes', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(name)
  const listed = server.version
  await follow()
  expect(told).toEqual(['a a', 'b b', 'c c', 'd d', 'e e'])
  expect(server.asked).toEqual(['list', 'list', 'list', `watch ${listed}`])
  told.length = 0
  server.put('a')
  server.put('f')
  server.remove('b')
  await hears('a a', 'f f', 'b gone')
  expect(names()).toEqual(['a', 'c', 'd', 'e', 'f'])
  expect(informer.get('f')?.metadata?.uid).toBe('f')
})

test.each(['end', 'destroy'] as const)(
  'resumes from where a watch broke off by %s, and tells nothing twice',
  async (how) => {
    server.put('a')
    await follow()
    server.put('b')
    await hears('a a', 'b b')
    await resumes(how)
    expect(server.asked.at(-1)).toBe(`watch ${server.version}`)
    server.put('c')
    await hears('a a', 'b b', 'c c')
    expect(server.asked.filter((what) => what === 'list')).toHaveLength(1)
  },
)

test('is current unless its last list or watch has failed', async () => {
  server.put('a')
  await follow()
  expect(informer.isCurrent).toBe(true)
  server.breakOff('end')
  await expect.poll(() => server.watches.size).toBe(0)
  expect(informer.isCurrent).toBe(true)
  await clock.advance(400)
  await watching()
  server.breakOff('destroy')
  await expect.poll(() => errors.length).toBeGreaterThan(0)
  expect(informer.isCurrent).toBe(false)
  await clock.advance(1_000)
  await expect.poll(() => informer.isCurrent).toBe(true)
})

test('resumes from a bookmark', async () => {
  server.put('a')
  await follow()
  server.put('b')
  server.bookmark()
  const from = server.version
  // This event follows the bookmark on the same connection.
  server.send({ type: 'MODIFIED', object: { metadata: { name: 'b', uid: 'c', resourceVersion: from } } })
  await hears('a a', 'b b', 'b gone', 'b c')
  await resumes('end')
  expect(server.asked.at(-1)).toBe(`watch ${from}`)
})

test('delays the next watch if a watch ends early without an event', async () => {
  await follow()
  server.breakOff('end')
  await expect.poll(() => server.watches.size).toBe(0)
  await expect.poll(() => clock.pending).toBe(1)
  expect(server.asked.filter((what) => what.startsWith('watch'))).toHaveLength(1)
  await clock.advance(400)
  await watching()
})

test('lists again when it cannot resume, and reports what it has missed', async () => {
  for (const name of ['a', 'b', 'c']) server.put(name)
  await follow()
  told.length = 0
  server.remove('a', { silently: true })
  server.objects.set('b', { metadata: { name: 'b', uid: 'another', resourceVersion: '500' } })
  server.send({ type: 'ERROR', object: { code: 410, message: 'too old resource version' } })
  await hears('a gone', 'b gone', 'b another')
  expect(errors).toEqual([])
  await expect.poll(() => server.asked.filter((what) => what.startsWith('watch'))).toHaveLength(2)
  server.refusals.push(410)
  await resumes('end')
  // A list of three objects has two pages, a list of two has one.
  expect(server.asked.filter((what) => what === 'list')).toHaveLength(4)
})

test('retries a failing server after growing delays', async () => {
  await follow()
  server.refusals.push(...Array<number>(6).fill(500))
  server.breakOff('destroy')
  const waits: number[] = []
  const before = server.asked.length
  for (let attempt = 0; attempt <= 6; attempt++) {
    await expect.poll(() => errors.length).toBe(attempt + 1)
    await expect.poll(() => clock.pending).toBe(1)
    const began = clock.now()
    const asked = server.asked.length
    while (server.asked.length === asked && clock.now() - began < 60_000) {
      await clock.advance(250)
      await new Promise((resolve) => setImmediate(resolve))
      if (clock.pending === 0) break
    }
    waits.push(clock.now() - began)
  }
  await watching()
  expect(server.asked.length - before).toBe(7)
  for (const [index, wait] of waits.entries()) {
    expect(wait).toBeGreaterThanOrEqual(250 * 2 ** index)
    expect(wait).toBeLessThanOrEqual(250 * 2 ** index * 1.5 + 250)
  }
})

test('resumes a long idle watch immediately, any number of times', async () => {
  server.put('a')
  await follow()
  for (let minute = 1; minute <= 10; minute++) {
    await clock.advance(60_000)
    server.breakOff('end')
    // The clock does not advance.
    await expect.poll(() => server.asked.filter((what) => what.startsWith('watch'))).toHaveLength(minute + 1)
    await watching()
  }
  expect(errors).toEqual([])
  // If the version is too old after an idle time, the new list is requested immediately too.
  server.refusals.push(410)
  await clock.advance(60_000)
  server.breakOff('end')
  await expect.poll(() => server.asked.slice(-3)).toEqual(['watch 101', 'list', 'watch 101'])
  expect(errors).toEqual([])
})

test('treats a silent connection as broken', async () => {
  server.put('a')
  await follow()
  await clock.advance(79_000)
  server.put('b')
  await hears('a a', 'b b')
  await clock.advance(79_000)
  expect(server.asked.filter((what) => what.startsWith('watch'))).toHaveLength(1)
  await clock.advance(2_000)
  await expect
    .poll(() => errors.map(({ message }) => message))
    .toEqual(['The watch of /things has received nothing for 80 s.'])
  await clock.advance(1_000)
  await watching()
})

test('leaves no listeners and timers behind, however often its watch ends', async () => {
  await follow()
  const signals = vi.spyOn(AbortSignal, 'any')
  for (let time = 0; time < 20; time++) {
    server.bookmark()
    await resumes('end')
  }
  const [stopped] = signals.mock.calls.at(-1)![0] as AbortSignal[]
  expect(getEventListeners(stopped!, 'abort').length).toBeLessThanOrEqual(1)
  expect(clock.pending).toBe(1)
  await informer[Symbol.asyncDispose]()
  expect(clock.pending).toBe(0)
  await expect.poll(() => server.watches.size).toBe(0)
})

test('can be stopped while it waits to retry', async () => {
  await follow()
  server.refusals.push(500, 500)
  server.breakOff('destroy')
  await expect.poll(() => clock.pending).toBe(1)
  await informer[Symbol.asyncDispose]()
  expect(clock.pending).toBe(0)
})

test('rejects with the reason when the first list cannot be read', async () => {
  server.refusals.push(403)
  await expect(follow()).rejects.toMatchObject({
    status: 403,
    reason: 'Test',
    message: 'GET /things: 403 refused',
  })
})
