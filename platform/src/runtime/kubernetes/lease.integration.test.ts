import type { V1Lease } from '@kubernetes/client-node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createElector, type Lease } from './leader.ts'
import { createClusterLease } from './lease.ts'
import { LocalApi, refuse } from './test/local-api.ts'

const PATH = '/apis/coordination.k8s.io/v1/namespaces/fp-system/leases'
const STATE = { holder: 'a', renewTime: Date.UTC(2026, 0, 2, 3, 4, 5, 678), duration: 15_000, transitions: 3 }
let server: LocalApi
let lease: Lease
/** As the API server has it. */
let stored: V1Lease | undefined
const { signal } = new AbortController()

beforeEach(async () => {
  server = await LocalApi.start()
  lease = createClusterLease(server.api, 'fp-system', 'fp-leader')
  stored = undefined
  server.onAsked = ({ method, body }, response) => {
    if (method === 'GET')
      return stored ? void response.end(JSON.stringify(stored)) : refuse(response, 404, 'NotFound')
    const next = body as V1Lease
    if (method === 'POST' && stored) return refuse(response, 409, 'AlreadyExists')
    if (method === 'PUT' && stored?.metadata?.resourceVersion !== next.metadata?.resourceVersion)
      return refuse(response, 409, 'Conflict')
    const version = Number(stored?.metadata?.resourceVersion ?? 0) + 1
    stored = { ...next, metadata: { ...next.metadata, resourceVersion: String(version) } }
    response.end(JSON.stringify(stored))
  }
})
afterEach(() => server[Symbol.asyncDispose]())

test('one that nobody has made is made, and reads as it was written', async () => {
  expect(await lease.read(signal)).toBeUndefined()
  await lease.write(STATE, undefined, signal)
  expect(await lease.read(signal)).toEqual({ ...STATE, resourceVersion: '1' })
  expect(server.asked).toMatchObject([
    { method: 'GET', path: `${PATH}/fp-leader` },
    {
      method: 'POST',
      path: PATH,
      body: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: 'fp-leader', namespace: 'fp-system' },
        spec: {
          holderIdentity: 'a',
          leaseDurationSeconds: 15,
          leaseTransitions: 3,
          renewTime: '2026-01-02T03:04:05.678000Z',
        },
      },
    },
    { method: 'GET', path: `${PATH}/fp-leader` },
  ])
})

test('of two that write, one gets a conflict', async () => {
  const both = await Promise.allSettled([
    lease.write(STATE, undefined, signal),
    lease.write({ ...STATE, holder: 'b' }, undefined, signal),
  ])
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  const { resourceVersion } = (await lease.read(signal))!
  await lease.write({ ...STATE, holder: 'c' }, resourceVersion, signal)
  await expect(lease.write({ ...STATE, holder: 'd' }, resourceVersion, signal)).rejects.toThrow('409')
  expect(await lease.read(signal)).toMatchObject({ holder: 'c' })
})

test('one that is empty, or was made by hand, is nobody’s', async () => {
  stored = { metadata: { resourceVersion: '7' } }
  expect(await lease.read(signal)).toEqual({
    holder: '',
    renewTime: 0,
    duration: 0,
    transitions: 0,
    resourceVersion: '7',
  })
})

test('what the API refuses is an error, and no lease that is not there', async () => {
  server.onAsked = (_asked, response) => refuse(response, 403, 'Forbidden')
  await expect(lease.read(signal)).rejects.toMatchObject({ status: 403 })
  await expect(lease.write(STATE, undefined, signal)).rejects.toMatchObject({ status: 403 })
})

test('whoever has lost interest does not wait for an API that does not answer', async () => {
  const asked = Promise.withResolvers<void>()
  server.onAsked = () => asked.resolve()
  const stop = new AbortController()
  const read = lease.read(stop.signal)
  await asked.promise
  stop.abort(new Error('too late'))
  await expect(read).rejects.toThrow('too late')
})

test('two processes lead by it one after the other', async () => {
  const led: string[] = []
  function join(identity: string): AsyncDisposable {
    const elector = createElector({ lease, identity, retry: 10 })
    return elector.run(async (over) => {
      led.push(identity)
      await new Promise((resolve) => over.addEventListener('abort', resolve))
    })
  }
  const first = join('a')
  await expect.poll(() => led, { timeout: 20_000 }).toEqual(['a'])
  const second = join('b')
  await first[Symbol.asyncDispose]()
  await expect.poll(() => led, { timeout: 20_000 }).toEqual(['a', 'b'])
  expect(stored!.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 })
  await second[Symbol.asyncDispose]()
  expect(stored!.spec!.holderIdentity).toBe('')
})
