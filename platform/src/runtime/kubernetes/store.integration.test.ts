import { KubernetesApiError } from '@fp/scaler/kubernetes'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createObjectStore, type ObjectStore } from './store.ts'
import { LocalApi, refuse } from './test/local-api.ts'

let server: LocalApi
let store: ObjectStore
beforeEach(async () => {
  server = await LocalApi.start()
  store = createObjectStore(server.api, 'fp-apps')
})
afterEach(() => server[Symbol.asyncDispose]())

const answers = (body: object): void => {
  server.onAsked = (_asked, response) => void response.end(JSON.stringify(body))
}
const refuses = (status: number, reason: string): void => {
  server.onAsked = (_asked, response) => refuse(response, status, reason)
}
const POD = { metadata: { name: 'x' } }

test('asks for the objects of its namespace, each kind in its group', async () => {
  answers({ items: [POD] })
  expect(await store.list('pods', 'fp.dev/role=pool')).toEqual([POD])
  answers(POD)
  expect(await store.get('deployments', 'x')).toEqual(POD)
  expect(await store.create('secrets', POD)).toEqual(POD)
  expect(await store.patch('pods', 'x', { metadata: { labels: { a: null } } })).toEqual(POD)
  await store.remove('secrets', 'x', { graceS: 0 })
  expect(server.asked).toMatchObject([
    { method: 'GET', path: '/api/v1/namespaces/fp-apps/pods', query: { labelSelector: 'fp.dev/role=pool' } },
    { method: 'GET', path: '/apis/apps/v1/namespaces/fp-apps/deployments/x' },
    { method: 'POST', path: '/api/v1/namespaces/fp-apps/secrets', body: POD, type: 'application/json' },
    {
      method: 'PATCH',
      path: '/api/v1/namespaces/fp-apps/pods/x',
      type: 'application/merge-patch+json',
      body: { metadata: { labels: { a: null } } },
    },
    {
      method: 'DELETE',
      path: '/api/v1/namespaces/fp-apps/secrets/x',
      query: { propagationPolicy: 'Background', gracePeriodSeconds: '0' },
    },
  ])
  expect(store.path('services')).toBe('/api/v1/namespaces/fp-apps/services')
})

describe('these answers are not errors:', () => {
  test('the object was deleted', async () => {
    refuses(404, 'NotFound')
    expect(await store.get('pods', 'x')).toBeUndefined()
    expect(await store.patch('pods', 'x', {})).toBeUndefined()
    await store.remove('pods', 'x')
  })

  test('the object exists already', async () => {
    refuses(409, 'AlreadyExists')
    expect(await store.create('pods', POD)).toBeUndefined()
    expect(server.asked).toHaveLength(1)
  })

  test('the object has changed', async () => {
    refuses(409, 'Conflict')
    expect(await store.patch('pods', 'x', { metadata: { resourceVersion: '5' } })).toBeUndefined()
    await store.remove('pods', 'x', { resourceVersion: '5' })
    expect(server.asked.at(-1)!.body).toEqual({ preconditions: { resourceVersion: '5' } })
  })
})

test('a conflict about the quota is retried, and not mistaken for an existing object', async () => {
  let conflicts = 2
  server.onAsked = (_asked, response) =>
    conflicts-- > 0
      ? refuse(response, 409, 'Conflict', 'resourcequotas')
      : void response.end(JSON.stringify(POD))
  expect(await store.create('pods', POD)).toEqual(POD)
  refuses(409, 'Conflict')
  await expect(store.create('pods', POD)).rejects.toMatchObject({ status: 409, reason: 'Conflict' })
  expect(server.asked.length).toBeLessThan(10)
})

test.each([
  [403, 'Forbidden'],
  [422, 'Invalid'],
  [500, 'InternalError'],
])('%s is an error, whatever was asked', async (status, reason) => {
  refuses(status, reason)
  const asked = [
    store.list('pods', 'a'),
    store.get('pods', 'x'),
    store.create('pods', POD),
    store.patch('pods', 'x', {}),
    store.remove('pods', 'x'),
  ]
  for (const one of asked) await expect(one).rejects.toMatchObject({ status, reason })
  for (const one of asked) await expect(one).rejects.toBeInstanceOf(KubernetesApiError)
})

test('a list of nothing that is not there, and a conflict nobody asked about, are errors', async () => {
  refuses(404, 'NotFound')
  await expect(store.list('pods', 'a')).rejects.toMatchObject({ status: 404 })
  await expect(store.create('pods', POD)).rejects.toMatchObject({ status: 404 })
  refuses(409, 'Conflict')
  await expect(store.remove('pods', 'x')).rejects.toMatchObject({ status: 409 })
})
