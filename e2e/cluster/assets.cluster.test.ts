import type { V1Pod, V1Secret } from '@kubernetes/client-node'
import { createHash, randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { bytesOf } from '../harness/assets.ts'
import { PATIENCE, useInstallation } from './world.ts'

const world = useInstallation()

const APP = `import hashlib
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/sums")
def sums() -> dict[str, str]:
    found = {}
    for folder, _, names in os.walk("/app"):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, "/app")] = hashlib.sha256(file.read()).hexdigest()
    return found


@app.post("/end")
def end() -> None:
    # Acts like a crash of native code. The validator would refuse the plain name.
    name = "_exit"
    getattr(os, name)(3)
`

const MB = 1024 * 1024
/** As many bytes as an app may have: nine assets of 2 MB, and the rest in small ones. */
const ASSETS: Record<string, Buffer> = {
  ...Object.fromEntries(
    Array.from({ length: 9 }, (_, number) => [`static/large-${number}.bin`, randomBytes(2 * MB)]),
  ),
  'static/every-byte.bin': Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  'data/deep/er/table.csv': Buffer.from('a,b\n1,ü\n'),
  'data/same.csv': Buffer.from('a,b\n1,ü\n'),
  'data/empty.bin': Buffer.alloc(0),
}
const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex')
const EXPECTED = {
  'app.py': sha256(APP),
  ...Object.fromEntries(Object.entries(ASSETS).map(([path, content]) => [path, sha256(content)])),
}

let appId: string
const sums = async (): Promise<unknown> => {
  const answer = await world.user.call(appId, '/sums')
  return answer.status === 200 ? answer.json() : `${answer.status} ${answer.text}`
}
const onlyPod = async (): Promise<V1Pod> => {
  const [pod, ...others] = await world.running(appId)
  expect(others).toEqual([])
  return pod!
}
const sourceOf = ({ metadata }: V1Pod): string => metadata!.labels!['fp.dev/source']!
/** As with their node: no word to them, and none of theirs. */
async function losePods(): Promise<void> {
  await world.fp.kubectl(
    ...['-n', 'fp-apps', 'delete', 'pods', '-l', `fp.dev/app=${appId}`],
    ...['--grace-period=0', '--force'],
  )
}
async function wake(): Promise<void> {
  const began = performance.now()
  const answer = await world.user.call(appId, '/sums')
  expect(answer.json()).toEqual(EXPECTED)
  const timing = String(answer.headers['server-timing'])
  console.log(
    `woken with ${Object.keys(ASSETS).length} assets in ${Math.round(performance.now() - began)} ms: ${timing}`,
  )
}
const platforms = (count: number): Promise<string> =>
  world.fp.kubectl('-n', 'fp-system', 'scale', 'deployment/fp-platform', `--replicas=${count}`)

beforeAll(async () => {
  const app = await world.user.createApp({ code: APP })
  appId = app.app_id
  await world.user.upload(appId, ASSETS)
  expect(await world.user.deploy(appId)).toMatchObject({ stage: 'ready' })
})

test('assets reach the app unchanged, and later uploads belong to another version', async () => {
  expect(await sums()).toEqual(EXPECTED)
  for (const path of ['static/large-3.bin', 'static/every-byte.bin'])
    expect((await bytesOf(world.fp, appId, `/${path}`)).equals(ASSETS[path]!)).toBe(true)

  const changed = { 'static/large-3.bin': randomBytes(MB) }
  await world.user.upload(appId, changed)
  expect(await sums()).toEqual(EXPECTED)
  expect((await world.user.deploy(appId)).stage).toBe('ready')
  expect(await sums()).toEqual({
    ...EXPECTED,
    'static/large-3.bin': sha256(changed['static/large-3.bin']),
  })
  const back = await world.user.client.apps.rollback(appId, 1)
  expect((await world.user.finished(appId, back.deployment_id)).stage).toBe('ready')
  expect(await sums()).toEqual(EXPECTED)
  // The cluster stores none of it: each content is in MongoDB once.
  const secrets = await world.fp.objects<V1Secret>('secrets', 'fp-apps', `fp.dev/app=${appId}`)
  for (const { data } of secrets) expect(Object.keys(data!)).toEqual(['key'])
})

test('they are there after a sleep, in a pod of the pool and in one of the Deployment', async () => {
  await world.asleep(appId)
  await world.reallyAsleep(appId)
  await expect
    .poll(
      async () =>
        (await world.fp.objects<V1Pod>('pods', 'fp-apps', 'fp.dev/role=pool')).filter(({ status }) =>
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
        ).length,
      PATIENCE,
    )
    .toBeGreaterThan(0)
  await wake()
  expect(sourceOf(await onlyPod())).toBe('pool')

  await world.asleep(appId)
  await world.reallyAsleep(appId)
  await world.emptyPool()
  await wake()
  expect(sourceOf(await onlyPod())).toBe('deployment')
})

test('a pod that starts while no platform runs waits for one', async () => {
  await world.asleep(appId)
  await world.reallyAsleep(appId)
  let waiting: string | undefined
  try {
    await platforms(0)
    await expect
      .poll(() => world.fp.objects('pods', 'fp-system', 'app.kubernetes.io/name=fp-platform'), PATIENCE)
      .toEqual([])
    // As after the loss of a node: the Deployment makes the pod without the platform.
    await world.fp.kubectl(
      ...['-n', 'fp-apps', 'scale', 'deployment', '-l', `fp.dev/app=${appId}`, '--replicas=1'],
    )
    await expect
      .poll(async () => {
        const [pod] = await world.running(appId)
        if (pod?.status?.containerStatuses?.[0]?.state?.running) waiting = pod.metadata!.name
        return waiting
      }, PATIENCE)
      .toBeDefined()
  } finally {
    await platforms(2)
    await world.fp.kubectl(
      ...['-n', 'fp-system', 'rollout', 'status', 'deployment/fp-platform', '--timeout=240s'],
    )
  }
  await expect.poll(sums, PATIENCE).toEqual(EXPECTED)
  expect((await onlyPod()).metadata!.name).toBe(waiting)
})

test('they are there again after the app has crashed, and after its pod is lost', async () => {
  await world.asleep(appId)
  await world.reallyAsleep(appId)
  await world.emptyPool()
  await wake()
  await world.user.call(appId, '/end', { method: 'POST' })
  await expect.poll(sums, PATIENCE).toEqual(EXPECTED)

  await losePods()
  await expect.poll(sums, PATIENCE).toEqual(EXPECTED)
})
