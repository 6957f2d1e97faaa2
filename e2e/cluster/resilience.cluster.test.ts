import type { Deployment } from '@fp/sdk/wire'
import type { V1Pod } from '@kubernetes/client-node'
import { expect, test } from 'vitest'
import { repeatedly } from '../harness/repeatedly.ts'
import { PATIENCE, saying, useInstallation } from './world.ts'

const world = useInstallation()

const PLATFORM = 'app.kubernetes.io/name=fp-platform'
const isReady = ({ metadata, status }: V1Pod): boolean =>
  !metadata?.deletionTimestamp &&
  (status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false)

/** Calls the app without a pause until `stop`, which resolves to the failures. */
function callers(
  appId: string,
  number: number,
): {
  done(): Promise<{ good: number; bad: string[] }>
  good(): number
  /** The different answers. */
  readonly heard: ReadonlySet<string>
} {
  const heard = new Set<string>()
  const bad: string[] = []
  let good = 0
  const calling = repeatedly(async () => {
    const answer = await world.user
      .call(appId, '/')
      .catch((error: Error) => ({ status: 0, text: error.message }))
    if (answer.status !== 200) return void bad.push(`${answer.status} ${answer.text}`)
    good++
    heard.add(answer.text)
  }, number)
  return {
    good: () => good,
    heard,
    async done() {
      await calling.stop()
      return { good, bad }
    },
  }
}

async function platformUp(replicas: number): Promise<void> {
  await expect
    .poll(
      async () => (await world.fp.objects<V1Pod>('pods', 'fp-system', PLATFORM)).filter(isReady).length,
      PATIENCE,
    )
    .toBe(replicas)
}

test('a pod that is evicted is replaced, and the app answers', async () => {
  const { app_id: appId } = await world.user.liveApp({ code: saying('evicted') })
  await world.user.call(appId, '/')
  const [pod] = await world.running(appId)
  const { name, namespace, uid } = pod!.metadata!
  // Like a drain of the node.
  await world.fp.create(`/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name, namespace },
  })
  await expect.poll(async () => (await world.user.call(appId, '/')).status, PATIENCE).toBe(200)
  expect((await world.running(appId)).map(({ metadata }) => metadata!.uid)).not.toContain(uid)
})

test('a pod that is evicted for lack of disk space is replaced, and the owner sees the reason', async () => {
  const { app_id: appId } = await world.user.liveApp({ code: saying('pressed') })
  // Otherwise the app would be asleep before kubelet checks.
  const load = callers(appId, 1)
  const [pod] = await world.running(appId)
  // More than its share of the node's disk: kubelet evicts it as under pressure. A file has its own, lower limit.
  const fill = 'for i in 1 2 3; do head -c 40000000 /dev/zero > /tmp/$i; done'
  await world.fp.kubectl('-n', 'fp-apps', 'exec', pod!.metadata!.name!, '--', 'sh', '-c', fill)
  const uids = async (): Promise<(string | undefined)[]> =>
    (await world.running(appId)).map(({ metadata }) => metadata!.uid)
  const lastFailure = async (): Promise<string | undefined> =>
    (await world.user.client.apps.get(appId)).last_failure?.code
  // kubelet checks once a minute.
  await expect.poll(lastFailure, { timeout: 150_000, interval: 500 }).toBe('FP_APP_EVICTED')
  // The event comes first. The pod may answer until kubelet has ended it.
  await expect.poll(uids, PATIENCE).not.toContain(pod!.metadata!.uid)
  const before = load.good()
  await expect.poll(() => load.good(), PATIENCE).toBeGreaterThan(before + 10)
  const { bad } = await load.done()
  console.log(
    `${bad.length} requests lost to a pod that its node ended: ${[...new Set(bad)].join('; ').slice(0, 300)}`,
  )
})

test('the platform is rolled out under load, and loses no request and no deployment', async () => {
  await platformUp(2)
  const { app_id: appId } = await world.user.liveApp({ code: saying('rolled') })
  const { app_id: another } = await world.user.createApp({ code: saying('deployed') })
  const load = callers(appId, 3)
  const deployed: Deployment[] = []
  const deploying = repeatedly(async () => deployed.push(await world.user.deploy(another)))
  await expect.poll(() => load.good(), PATIENCE).toBeGreaterThan(20)
  await world.fp.kubectl('-n', 'fp-system', 'rollout', 'restart', 'deployment/fp-platform')
  await world.fp.kubectl('-n', 'fp-system', 'rollout', 'status', 'deployment/fp-platform', '--timeout=240s')
  const reached = load.good()
  await expect.poll(() => load.good(), PATIENCE).toBeGreaterThan(reached + 20)
  const { good, bad } = await load.done()
  await deploying.stop()
  console.log(
    `${good} requests during a rollout of the platform, ${bad.length} lost; ${deployed.length} deployments`,
  )
  expect(bad).toEqual([])
  expect(deployed.filter(({ stage }) => stage !== 'ready')).toEqual([])
})

test('an awake app gets a pod with other settings under load, and loses no request', async () => {
  await platformUp(2)
  const { app_id: appId } = await world.user.liveApp({ code: saying('renewed') })
  const load = callers(appId, 3)
  await expect.poll(() => load.good(), PATIENCE).toBeGreaterThan(20)
  const requests = async (): Promise<(string | undefined)[]> =>
    (await world.running(appId)).map(({ spec }) => spec!.containers[0]!.resources!.requests!['cpu'])
  const [before] = await requests()
  const settings = ['-n', 'fp-system', 'set', 'env', 'deployment/fp-platform']
  await world.fp.kubectl(...settings, 'FP_APP_CPU_REQUEST=21m')
  await expect.poll(requests, PATIENCE).toEqual(['21m'])
  await world.fp.kubectl(...settings, 'FP_APP_CPU_REQUEST-')
  await expect.poll(requests, PATIENCE).toEqual([before])
  const { good, bad } = await load.done()
  console.log(`${good} requests while pods were renewed twice, ${bad.length} lost`)
  expect(bad).toEqual([])
  await platformUp(2)
})

test('a platform pod that is killed during wakes leaves none of them hanging', async () => {
  await platformUp(2)
  const apps = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (word) => (await world.user.liveApp({ code: saying(word) })).app_id),
  )
  for (const appId of apps) await world.reallyAsleep(appId)
  const [victim] = await world.fp.objects<V1Pod>('pods', 'fp-system', PLATFORM)
  const calls = apps.map((appId) =>
    // A client of a killed server retries, like browsers.
    expect
      .poll(async () => (await world.user.call(appId, '/').catch(() => undefined))?.status, PATIENCE)
      .toBe(200),
  )
  await world.fp.kubectl(
    '-n',
    'fp-system',
    'delete',
    'pod',
    victim!.metadata!.name!,
    '--grace-period=0',
    '--force',
  )
  await Promise.all(calls)
  await platformUp(2)
  for (const appId of apps) await world.reallyAsleep(appId)
})

test('while MongoDB restarts, awake apps keep answering, and everything works afterwards', async () => {
  const { app_id: appId } = await world.user.liveApp({ code: saying('kept') })
  const { app_id: crud } = await world.user.liveApp({ template_id: 'crud-mongodb' })
  await world.fp.kubectl('-n', 'fp-system', 'delete', 'pod', 'fp-mongodb-0')
  await world.fp.kubectl('-n', 'fp-system', 'rollout', 'status', 'statefulset/fp-mongodb', '--timeout=120s')
  await expect
    .poll(
      async () => (await world.user.api('GET', `/apps/${appId}`).catch(() => undefined))?.status,
      PATIENCE,
    )
    .toBe(200)
  await expect.poll(async () => (await world.user.call(appId, '/')).status, PATIENCE).toBe(200)
  await expect.poll(async () => (await world.user.call(crud, '/')).status, PATIENCE).toBeLessThan(500)
  expect((await world.user.deploy(appId, { 'app.py': saying('after') })).stage).toBe('ready')
  expect((await world.user.call(appId, '/')).json()).toMatchObject({ text: 'after' })
})

test('without a pod in the pool apps wake with their Deployments and lose no request', async () => {
  // Waiting pods are deleted faster than they are made.
  const { app_id: appId } = await world.user.liveApp({ code: saying('cold') })
  await world.asleep(appId)
  await world.reallyAsleep(appId)
  await world.emptyPool()
  const answer = await world.user.call(appId, '/')
  expect(answer.status).toBe(200)
  const [pod] = await world.running(appId)
  expect(pod!.metadata!.labels!['fp.dev/source']).toBe('deployment')
  expect(answer.headers['server-timing']).toMatch(/interpreter;dur=.*imported;dur=/)

  // A deployment without a waiting pod reports the steps of the cluster.
  await world.emptyPool()
  const { events } = await world.user.deploy(appId, { 'app.py': saying('colder') })
  expect(events.map(({ message }) => message)).toContain('A node has room for the app.')
})

test('an app with many requests gets more pods, and loses none when it has fewer again', async () => {
  const { app_id: appId } = await world.user.liveApp({
    code: `import asyncio
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def slow() -> str:
    await asyncio.sleep(0.5)
    return os.uname().nodename
`,
  })
  const load = callers(appId, 180)
  // Each pod answers with its name.
  await expect.poll(() => load.heard.size, PATIENCE).toBe(3)
  const { bad } = await load.done()
  expect(bad).toEqual([])
  await world.reallyAsleep(appId)
})
