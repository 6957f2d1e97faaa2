import type { V1PersistentVolumeClaim } from '@kubernetes/client-node'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { PATIENCE, useInstallation } from './world.ts'

const world = useInstallation()

const APP = `import os
import sqlite3

from fastapi import FastAPI

app = FastAPI()
folder = os.environ["PLATFORM_DATA_DIR"]
db = sqlite3.connect(f"{folder}/visits.db", check_same_thread=False)
db.execute("create table if not exists visits (n integer)")


@app.get("/visit")
def visit() -> int:
    with db:
        db.execute("insert into visits values (1)")
    return db.execute("select count(*) from visits").fetchone()[0]


@app.get("/large")
def large() -> int:
    with open(f"{folder}/large", "wb") as file:
        file.truncate(80 * 1024 * 1024)
    return os.path.getsize(f"{folder}/large")


@app.get("/folder")
def look() -> list[str]:
    return sorted(os.listdir(folder))
`

const CLASS = 'fp-e2e'
const VOLUMES = ['fp-e2e-1', 'fp-e2e-2']
const FOLDER = '/var/lib/rancher/k3s/storage'

/** There is no provisioner, so this creates volumes from folders of the node, like an admin. */
async function makeVolumes(): Promise<void> {
  const { kubectl, create } = world.fp
  const folders = VOLUMES.map((name) => `/host/${name}`)
  await create('/api/v1/namespaces/default/pods', {
    metadata: { name: 'fp-e2e-folders' },
    spec: {
      restartPolicy: 'Never',
      containers: [
        {
          name: 'mkdir',
          image: inject('cluster').nodeImage,
          imagePullPolicy: 'IfNotPresent',
          command: ['mkdir', '-p', ...folders],
          securityContext: { runAsUser: 0 },
          volumeMounts: [{ name: 'host', mountPath: '/host' }],
        },
      ],
      volumes: [{ name: 'host', hostPath: { path: FOLDER, type: 'DirectoryOrCreate' } }],
    },
  })
  await kubectl('wait', 'pod/fp-e2e-folders', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=90s')
  await kubectl('delete', 'pod', 'fp-e2e-folders')
  await create('/apis/storage.k8s.io/v1/storageclasses', {
    metadata: { name: CLASS, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  })
  const node = await kubectl('get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}')
  const onNode = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] }
  for (const name of VOLUMES) {
    await create('/api/v1/persistentvolumes', {
      metadata: { name },
      spec: {
        storageClassName: CLASS,
        accessModes: ['ReadWriteOnce'],
        capacity: { storage: '100Mi' },
        persistentVolumeReclaimPolicy: 'Retain',
        local: { path: `${FOLDER}/${name}` },
        nodeAffinity: { required: { nodeSelectorTerms: [onNode] } },
      },
    })
  }
}

const claimsOf = (appId: string): Promise<V1PersistentVolumeClaim[]> =>
  world.fp.objects('persistentvolumeclaims', 'fp-apps', `fp.dev/app=${appId}`)
const storage = (appId: string, on: boolean): Promise<unknown> =>
  world.user.client.apps.patch(appId, { storage: on })
const answer = async (appId: string, path: string): Promise<unknown> => {
  const { status, text } = await world.user.call(appId, path)
  return status === 200 ? JSON.parse(text) : `${status} ${text}`
}
let appId: string

beforeAll(async () => {
  appId = (await world.user.createApp({ code: APP })).app_id
})
afterAll(async () => {
  await world.user.api('DELETE', `/apps/${appId}`)
  await world.fp.kubectl('delete', 'storageclass', CLASS, '--ignore-not-found')
  // After their claims were deleted.
  await world.fp.kubectl('delete', 'pv', ...VOLUMES, '--ignore-not-found', '--timeout=120s')
})

test('storage is refused with the reason if the cluster has no StorageClass for it', async () => {
  expect(await world.user.api('PATCH', `/apps/${appId}`, { storage: true })).toMatchObject({
    status: 409,
    body: {
      code: 'FP_STORAGE_UNAVAILABLE',
      message: expect.stringContaining('no default StorageClass') as string,
    },
  })
})

test('files of an app outlive sleeps, deploys, rollbacks and its pod', async () => {
  await makeVolumes()
  await storage(appId, true)
  expect(await world.user.deploy(appId)).toMatchObject({ stage: 'ready' })
  expect(await answer(appId, '/visit')).toBe(1)
  expect(await claimsOf(appId)).toMatchObject([
    { status: { phase: 'Bound' }, spec: { resources: { requests: { storage: '100Mi' } } } },
  ])
  // Larger than a file outside of the storage may be.
  expect(await answer(appId, '/large')).toBe(80 * 1024 * 1024)

  await world.asleep(appId)
  await world.reallyAsleep(appId)
  expect(await answer(appId, '/visit')).toBe(2)
  const [pod] = await world.running(appId)
  expect(pod!.metadata!.labels!['fp.dev/source']).toBe('deployment')

  expect((await world.user.deploy(appId, { 'app.py': `${APP}\n# another version\n` })).stage).toBe('ready')
  expect(await answer(appId, '/visit')).toBe(3)
  const back = await world.user.client.apps.rollback(appId, 1)
  expect((await world.user.finished(appId, back.deployment_id)).stage).toBe('ready')
  expect(await answer(appId, '/visit')).toBe(4)

  const [last] = await world.running(appId)
  await world.fp.kubectl(
    ...['-n', 'fp-apps', 'delete', 'pod', last!.metadata!.name!, '--grace-period=0', '--force'],
  )
  await expect.poll(() => answer(appId, '/visit'), PATIENCE).toBe(5)
})

test('storage has its files after it was off; another app has other files, and a deleted app has none', async () => {
  await storage(appId, false)
  await expect.poll(async () => (await world.user.call(appId, '/visit')).status, PATIENCE).toBe(502)
  expect(await claimsOf(appId)).toHaveLength(1)
  await storage(appId, true)
  await expect.poll(() => answer(appId, '/folder'), PATIENCE).toEqual(['large', 'visits.db'])

  const { app_id: other } = await world.user.createApp({ code: APP })
  await storage(other, true)
  expect((await world.user.deploy(other)).stage).toBe('ready')
  expect(await answer(other, '/folder')).toEqual(['visits.db'])
  await world.user.client.apps.remove(other)
  await expect.poll(() => claimsOf(other), PATIENCE).toEqual([])
  expect(await claimsOf(appId)).toHaveLength(1)
})
