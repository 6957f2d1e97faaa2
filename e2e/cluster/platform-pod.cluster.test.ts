import type { CoreV1Event, V1Pod } from '@kubernetes/client-node'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { ROOT } from '../harness/platform.ts'
import { repeatedly } from '../harness/repeatedly.ts'
import { PATIENCE, saying, useInstallation } from './world.ts'

const world = useInstallation()

const platformPods = (): Promise<V1Pod[]> =>
  world.fp.objects<V1Pod>('pods', 'fp-system', 'app.kubernetes.io/name=fp-platform')
const isReady = ({ metadata, status }: V1Pod): boolean =>
  !metadata?.deletionTimestamp &&
  (status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false)
const readyPods = async (): Promise<V1Pod[]> => (await platformPods()).filter(isReady)
const restartsOf = (pod: V1Pod, container: string): number =>
  pod.status!.containerStatuses!.find(({ name }) => name === container)!.restartCount
const inContainer = (pod: string, container: string, script: string): Promise<string> =>
  world.fp.kubectl('-n', 'fp-system', 'exec', pod, '-c', container, '--', 'sh', '-c', script)
/** For a script in a container: finds the process that tini runs. */
const MAIN = 'read main </proc/1/task/1/children; '
/** The same for the API's process, which is a child of that one. */
const API = `${MAIN} read api </proc/$main/task/$main/children; `

test('the cluster has the applied manifests unchanged', async () => {
  // Rejects when it finds a difference.
  expect(await world.fp.kubectl('diff', '-k', join(ROOT, 'deploy/overlays/e2e'))).toBe('')
})

test('only the gate has the token of the service account', async () => {
  const [pod] = await readyPods()
  const list = 'ls /var/run/secrets/kubernetes.io/serviceaccount 2>&1 || true'
  const name = pod!.metadata!.name!
  expect(await inContainer(name, 'gate', list)).toContain('token')
  expect(await inContainer(name, 'api', list)).toContain('No such file')
})

test('an API that ends is restarted, and its pod stays in service meanwhile', async () => {
  await expect.poll(async () => (await readyPods()).length, PATIENCE).toBe(2)
  const { app_id: appId } = await world.user.liveApp({ code: saying('served') })
  const bad: unknown[] = []
  const calling = repeatedly(async () => {
    const { status } = await world.user.call(appId, '/')
    if (status !== 200) bad.push(status)
  })
  const [pod] = await readyPods()
  const name = pod!.metadata!.name!
  const starts = async (): Promise<number> =>
    (await world.fp.kubectl('-n', 'fp-system', 'logs', name, '-c', 'api')).match(/API is ready/g)?.length ?? 0
  const before = await starts()
  // An API that ends sooner than 10 s after its start is left to kubelet.
  const age = '$(($(cut -d. -f1 /proc/uptime) - $(cut -d" " -f22 /proc/$api/stat) / 100))'
  const isSteady = (): Promise<string> => inContainer(name, 'api', `${API} [ ${age} -gt 10 ]; echo $?`)
  await expect.poll(isSteady, PATIENCE).toBe('0\n')
  await inContainer(name, 'api', `${API} kill -9 $api`)
  await expect.poll(starts, PATIENCE).toBe(before + 1)
  await calling.stop()
  expect(bad).toEqual([])
  const after = (await platformPods()).find(({ metadata }) => metadata!.name === name)!
  const readySince = ({ status }: V1Pod): unknown =>
    status!.conditions!.find(({ type }) => type === 'Ready')!.lastTransitionTime
  expect(readySince(after)).toEqual(readySince(pod!))
  expect(restartsOf(after, 'api')).toBe(restartsOf(pod!, 'api'))
})

test('a gate that hangs is taken out of service and started again', async () => {
  await expect.poll(async () => (await readyPods()).length, PATIENCE).toBe(2)
  const { app_id: appId } = await world.user.liveApp({ code: saying('elsewhere') })
  const [pod] = await readyPods()
  const name = pod!.metadata!.name!
  const now = async (): Promise<V1Pod> =>
    (await platformPods()).find(({ metadata }) => metadata!.name === name)!
  await inContainer(name, 'gate', `${MAIN} kill -STOP $main`)
  await expect.poll(async () => isReady(await now()), PATIENCE).toBe(false)
  // Through the other replica.
  await expect
    .poll(async () => (await world.user.call(appId, '/').catch(() => undefined))?.status, PATIENCE)
    .toBe(200)
  await expect
    .poll(async () => restartsOf(await now(), 'gate'), PATIENCE)
    .toBeGreaterThan(restartsOf(pod!, 'gate'))
  await expect.poll(async () => isReady(await now()), PATIENCE).toBe(true)
})

test('on a full node the platform preempts apps', async () => {
  const filler = '/apis/apps/v1/namespaces/fp-apps/deployments'
  const labels = { 'test-filler': 'yes' }
  await world.fp.create(filler, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'filler', namespace: 'fp-apps' },
    spec: {
      replicas: 20,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          automountServiceAccountToken: false,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65534,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'sleep',
              image: inject('cluster').runnerImage,
              imagePullPolicy: 'IfNotPresent',
              command: ['sleep', 'infinity'],
              resources: { requests: { cpu: '150m' } },
              securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            },
          ],
        },
      },
    },
  })
  try {
    const pending = async (): Promise<number> =>
      (await world.fp.objects<V1Pod>('pods', 'fp-apps', 'test-filler=yes')).filter(({ status }) =>
        status?.conditions?.some(({ reason }) => reason === 'Unschedulable'),
      ).length
    await expect.poll(pending, PATIENCE).toBeGreaterThan(0)
    await world.fp.kubectl('-n', 'fp-system', 'rollout', 'restart', 'deployment/fp-platform')
    await world.fp.kubectl('-n', 'fp-system', 'rollout', 'status', 'deployment/fp-platform', '--timeout=240s')
    const events = await world.fp.objects<CoreV1Event>('events', 'fp-apps')
    expect(events.map(({ reason }) => reason)).toContain('Preempted')
  } finally {
    await world.fp.kubectl('-n', 'fp-apps', 'delete', 'deployment', 'filler', '--wait=true')
  }
})
