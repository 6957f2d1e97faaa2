import type { V1Secret } from '@kubernetes/client-node'
import { beforeEach, expect, test } from 'vitest'
import { createTargetObjects, type TargetObjects } from './objects.ts'
import { MemoryStore, refusal } from './test/memory-store.ts'
import { targetPodKey } from './pod-keys.ts'
import { assetOf, SETTINGS, specOf } from './test/specs.ts'
import type { Volumes } from './volumes.ts'

const SECRET_KEY = Buffer.alloc(32, 7)
const KINDS = ['deployments', 'secrets', 'services'] as const
let store: MemoryStore
let objects: TargetObjects
let asSpec: typeof specOf
const asked: string[] = []
const volumes: Pick<Volumes, 'ensure' | 'remove'> = {
  async ensure(appId) {
    expect(store.all('deployments')).toEqual([])
    asked.push(`ensure ${appId}`)
  },
  remove: async (appId) => void asked.push(`remove ${appId}`),
}

beforeEach(() => {
  store = new MemoryStore()
  asSpec = specOf
  asked.length = 0
  objects = replica()
})
const replica = (): TargetObjects =>
  createTargetObjects({
    store,
    settings: SETTINGS,
    secretKey: SECRET_KEY,
    volumes,
    specOf: async (key) => asSpec(key),
  })

test('makes all objects of a target, owned by its Deployment', async () => {
  const owner = await objects.ensure('a.1.0')
  const [deployment] = store.all('deployments')
  expect(owner).toMatchObject({ kind: 'Deployment', name: 'app-a-1-0', uid: deployment!.metadata!.uid })
  for (const kind of ['secrets', 'services'] as const) {
    expect(store.all(kind)).toMatchObject([{ metadata: { name: 'app-a-1-0', ownerReferences: [owner] } }])
  }
})

test('does nothing the second time, and checks again after `forget`', async () => {
  const owner = await objects.ensure('a.1.0')
  const asked = store.asked.length
  expect(await objects.ensure('a.1.0')).toBe(owner)
  expect(store.asked).toHaveLength(asked)
  for (const kind of KINDS) store.drop(kind, 'app-a-1-0')
  objects.forget('a.1.0')
  expect((await objects.ensure('a.1.0')).uid).not.toBe(owner.uid)
  for (const kind of KINDS) expect(store.names(kind)).toEqual(['app-a-1-0'])
})

test('concurrent calls, in this replica or another, make the objects once', async () => {
  const owners = await Promise.all([
    objects.ensure('a.1.0'),
    objects.ensure('a.1.0'),
    replica().ensure('a.1.0'),
  ])
  expect(new Set(owners.map(({ uid }) => uid)).size).toBe(1)
  expect(store.asked.filter((what) => what === 'create deployments app-a-1-0')).toHaveLength(2)
})

test('failed objects are tried again, and existing ones are not changed', async () => {
  store.before = (call, kind) => {
    if (call === 'create' && kind === 'secrets') throw refusal(500)
  }
  await expect(objects.ensure('a.1.0')).rejects.toMatchObject({ status: 500 })
  const before = store.all('deployments')[0]
  store.before = () => undefined
  await objects.ensure('a.1.0')
  expect(store.all('deployments')[0]).toBe(before)
  expect(store.all<V1Secret>('secrets')).toHaveLength(1)
})

test('makes nothing for a target that was replaced', async () => {
  asSpec = () => {
    throw new Error('older than what is live')
  }
  await expect(objects.ensure('a.1.0')).rejects.toThrow('older than what is live')
  expect(store.asked).toEqual([])
})

test('a Deployment that is deleted while it is made is an error', async () => {
  store.put('deployments', { metadata: { name: 'app-a-1-0' } })
  store.before = (call) => {
    if (call === 'get') store.drop('deployments', 'app-a-1-0')
  }
  await expect(objects.ensure('a.1.0')).rejects.toThrow('was deleted while it was being made')
})

test('removes a target with its Deployment, and an app with all of them', async () => {
  for (const key of ['a.1.0', 'a.2.0', 'b.1.0', 'ab.1.0']) await objects.ensure(key)
  await objects.remove('a.2.0')
  expect(store.names('deployments')).toEqual(['app-a-1-0', 'app-ab-1-0', 'app-b-1-0'])
  await objects.removeApp('a')
  expect(store.names('deployments')).toEqual(['app-ab-1-0', 'app-b-1-0'])
  // Not what is remembered of them.
  await objects.ensure('a.1.0')
  await objects.remove('nobody.1.0')
  expect(store.names('deployments')).toEqual(['app-a-1-0', 'app-ab-1-0', 'app-b-1-0'])
})

test('a target with assets keeps no start request in the cluster, but the key of the pods that are sent it', async () => {
  asSpec = (key) => ({ ...specOf(key), assets: [assetOf('logo.png', Buffer.alloc(10))] })
  await objects.ensure('a.1.0')
  const [secret] = store.all<V1Secret>('secrets')
  expect(secret).toMatchObject({ stringData: { key: targetPodKey(SECRET_KEY, 'a.1.0') }, immutable: true })
  expect(secret).not.toHaveProperty('data')
})

test('an app with storage has its volume before its pods, keeps it when they go, and loses it with the app', async () => {
  await objects.ensure('a.1.0')
  expect(asked).toEqual([])
  store = new MemoryStore()
  objects = replica()
  asSpec = (key) => ({ ...specOf(key), storage: true })
  await objects.ensure('a.1.0')
  await objects.remove('a.1.0')
  expect(asked).toEqual(['ensure a'])
  await objects.removeApp('a')
  expect(asked).toEqual(['ensure a', 'remove a'])
})
