import { FakeClock } from '@fp/scaler/fake'
import type { V1PersistentVolumeClaim, V1StorageClass } from '@kubernetes/client-node'
import { beforeEach, describe, expect, test } from 'vitest'
import { MemoryStore, refusal } from './test/memory-store.ts'
import { createVolumes, type Volumes } from './volumes.ts'

let clock: FakeClock
let store: MemoryStore
let classes: V1StorageClass[] | Error

beforeEach(() => {
  clock = new FakeClock()
  store = new MemoryStore()
  classes = []
})
const storageClass = (
  name: string,
  more: Partial<V1StorageClass> = {},
  isDefault = false,
): V1StorageClass => ({
  metadata: {
    name,
    annotations: isDefault ? { 'storageclass.kubernetes.io/is-default-class': 'true' } : {},
  },
  provisioner: 'example.com/disks',
  ...more,
})
const volumes = (named?: string): Volumes =>
  createVolumes({
    api: {
      async request<T>() {
        if (classes instanceof Error) throw classes
        return { items: classes } as T
      },
    },
    store,
    settings: { storageClass: named, storageSize: '100Mi' },
    clock,
  })
const claims = (): V1PersistentVolumeClaim[] => store.all('persistentvolumeclaims')
function bind(): void {
  const [claim] = claims()
  store.put('persistentvolumeclaims', { ...claim!, status: { phase: 'Bound' } } as V1PersistentVolumeClaim)
}

describe('storage is available', () => {
  test('if there is a default class, or the one that the settings name', async () => {
    classes = [storageClass('slow'), storageClass('fast', {}, true)]
    expect(await volumes().problem()).toBeUndefined()
    expect(await volumes('slow').problem()).toBeUndefined()
  })

  test('only then; otherwise the problem says what to do', async () => {
    classes = [storageClass('slow')]
    expect(await volumes().problem()).toMatch(/no default StorageClass.*FP_STORAGE_CLASS/)
    expect(await volumes('fast').problem()).toMatch(/no StorageClass fast.*FP_STORAGE_CLASS/)
    classes = refusal(403)
    expect(await volumes().problem()).toContain('rbac.yaml')
    classes = refusal(0)
    expect(await volumes().problem()).toContain('does not answer')
  })
})

describe('a claim', () => {
  test('asks for the size and the class of the settings, and is kept', async () => {
    classes = [storageClass('fast', { volumeBindingMode: 'WaitForFirstConsumer' }, true)]
    await volumes().ensure('a')
    await volumes('fast').ensure('b')
    await volumes().ensure('a')
    expect(claims()).toMatchObject([
      {
        metadata: { name: 'storage-a', labels: { 'fp.dev/app': 'a' } },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '100Mi' } } },
      },
      { metadata: { name: 'storage-b' }, spec: { storageClassName: 'fast' } },
    ])
    expect(claims()[0]!.spec).not.toHaveProperty('storageClassName')
    await volumes().remove('a')
    expect(store.names('persistentvolumeclaims')).toEqual(['storage-b'])
  })

  test('whose volume is made at once is waited for', async () => {
    classes = [storageClass('fast', { volumeBindingMode: 'Immediate' }, true)]
    let done = false
    const ensured = volumes()
      .ensure('a')
      .then(() => (done = true))
    await clock.advance(1_000)
    expect(done).toBe(false)
    bind()
    await clock.advance(1_000)
    await ensured
    // Another replica, or a later start: it is there.
    await volumes().ensure('a')
  })

  test('that gets no volume is an error that says where to look', async () => {
    classes = [storageClass('fast', {}, true)]
    const ensured = volumes().ensure('a')
    const failed = expect(ensured).rejects.toThrow(/no volume.*60 seconds.*kubectl describe pvc storage-a/)
    await clock.advance(61_000)
    await failed
    expect(clock.pending).toBe(0)
  })
})
