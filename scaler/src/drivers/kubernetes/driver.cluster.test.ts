import { KubeConfig, type V1Container, type V1Pod, type V1PodSpec } from '@kubernetes/client-node'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { clusterWorld, LABEL, PORT, type ClusterWorld } from '../../../test/cluster.ts'
import { get } from '../../contract/http.ts'
import { News } from '../../contract/news.ts'
import { until } from '../../../test/contract/processes.ts'
import type { TargetKey, TargetState } from '../../types.ts'
import { createKubernetesDriver } from './driver.ts'

const { signal } = new AbortController()
const failed = ({ failure }: TargetState): boolean => failure !== undefined
const count =
  (replicas: number) =>
  ({ ready }: TargetState): boolean =>
    ready.length === replicas

/** A server that responds, stops slowly, and reports the phases of its start. */
const SERVER = `
  const server = require('node:http').createServer((request, response) => {
    response.setHeader('server-timing', 'import;dur=12, ready;dur=34.5')
    if (request.url === '/slow') setTimeout(() => response.end('whole'), 500)
    else response.end('hello')
  }).listen(${PORT})
  process.once('SIGTERM', () => server.close(() => process.exit(0)))
`
const script = (text: string): Partial<V1Container> => ({ command: ['node', '-e', text] })

/** The container to run, by the first word of the key. */
const CONTAINERS: Record<string, () => Partial<V1Container>> = {
  plain: () => script(SERVER),
  crash: () =>
    script(
      `console.error('no'); require('node:fs').writeFileSync('/dev/termination-log', 'first\\nlast words'); process.exit(7)`,
    ),
  memory: () => ({
    ...script(`const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))`),
    resources: { limits: { memory: '64Mi' } },
  }),
  image: () => ({ ...script(SERVER), image: 'fp.invalid/no-such-image:1' }),
  never: () => ({ ...script(SERVER), image: 'no-such-image:1', imagePullPolicy: 'Never' }),
  secret: () => ({
    ...script(SERVER),
    env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'no-such-secret', key: 'x' } } }],
  }),
  command: () => ({ command: ['/no/such/program'] }),
  large: () => ({ ...script(SERVER), resources: { requests: { cpu: '1000' } } }),
  readiness: () => ({
    ...script(SERVER),
    readinessProbe: {
      exec: { command: ['test', '!', '-e', '/tmp/withdrawn'] },
      periodSeconds: 1,
      failureThreshold: 1,
    },
  }),
  selected: () => ({ ...script(SERVER), resources: { requests: { cpu: '10m' } } }),
}
const PODS: Record<string, () => Partial<V1PodSpec>> = {
  selected: () => ({ nodeSelector: { 'scaler.test/no-such': 'node' } }),
}
const kindOf = (key: TargetKey): string => key.split('-')[0]!

let world: ClusterWorld
let news: News
let keys = 0
const target = (kind: string): TargetKey => `${kind}-${++keys}`

beforeAll(async () => {
  world = await clusterWorld({
    namespace: 'scaler-driver',
    container: (key) => CONTAINERS[kindOf(key)]!(),
    pod: (key) => PODS[kindOf(key)]?.() ?? {},
  })
  news = await News.of(world.driver)
})
afterAll(async () => {
  await news[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

async function wake(key: TargetKey, replicas = 1): Promise<TargetState> {
  await world.driver.scale(key, replicas, { signal })
  return news.until(key, count(replicas))
}

describe('a wake that cannot succeed fails with the reason', () => {
  test.each([
    [
      'crash',
      'KUBERNETES_CRASHED',
      /exit code 7: last words/,
      { exitCode: 7, terminationMessage: 'first\nlast words' },
    ],
    [
      'memory',
      'KUBERNETES_OUT_OF_MEMORY',
      /more than its memory/,
      { reason: expect.stringMatching(/OOMKilled|CrashLoopBackOff/) as string },
    ],
    ['image', 'KUBERNETES_IMAGE_NOT_PULLED', /image cannot be pulled/, {}],
    ['never', 'KUBERNETES_IMAGE_NOT_PULLED', /image cannot be pulled/, { reason: 'ErrImageNeverPull' }],
    ['secret', 'KUBERNETES_NOT_CONFIGURED', /no-such-secret/, { reason: 'CreateContainerConfigError' }],
    ['command', 'KUBERNETES_NOT_CONFIGURED', /no such file/, {}],
    ['large', 'KUBERNETES_UNSCHEDULABLE', /Insufficient cpu/, { reason: 'Unschedulable' }],
    ['selected', 'KUBERNETES_UNSCHEDULABLE', /node\(s\) didn't match/, { reason: 'Unschedulable' }],
  ])('%s', async (kind, code, message, details) => {
    const key = target(kind)
    await world.driver.scale(key, 1, { signal })
    const { failure, ready } = await news.until(key, failed)
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) as string, details })
    expect(ready).toEqual([])
    await world.driver.scale(key, 0, { signal })
    await until(async () => (await world.pods(key)).length === 0)
    expect(news.of(key).at(-1)?.failure).toBeUndefined()
  })

  test('a quota', async () => {
    const quota = { metadata: { name: 'none' }, spec: { hard: { pods: '0' } } }
    await world.api.request('POST', world.path('resourcequotas'), { body: quota })
    const key = target('plain')
    await world.driver.scale(key, 1, { signal })
    const { failure } = await news.until(key, failed)
    expect(failure).toMatchObject({
      code: 'KUBERNETES_QUOTA_EXCEEDED',
      message: expect.stringContaining('exceeded quota: none') as string,
    })
    await world.api.request('DELETE', world.path('resourcequotas', 'none'))
    await world.driver.scale(key, 0, { signal })
    await wake(key)
    await world.driver.scale(key, 0, { signal })
  })

  test('no Deployment', async () => {
    await using driver = await clusterWorld({
      namespace: 'scaler-nothing',
      container: () => ({}),
      prepare: async () => undefined,
    })
    await expect(driver.driver.scale('plain-x', 1, { signal })).rejects.toThrow(/404.*"plain-x" not found/)
    await expect(driver.driver.scale('plain-x', 0, { signal })).resolves.toEqual([])
  })

  test('a key that is not a valid label value', async () => {
    await expect(world.driver.scale('a/b', 1, { signal })).rejects.toThrow(
      /"a\/b" is not a valid label value/,
    )
  })
})

describe('a pod that is ready', () => {
  test('reports the phases of its start', async () => {
    const key = target('plain')
    const { phases } = await wake(key)
    expect(phases!.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['created', 'scheduled', 'container', 'import', 'ready']),
    )
    const at = (name: string): number => phases!.find((phase) => phase.name === name)!.at
    expect(at('import') - at('container')).toBeCloseTo(12)
    expect(at('created')).toBeLessThanOrEqual(at('ready'))
    await world.driver.scale(key, 0, { signal })
  })

  test('gets no requests when it is terminating, and finishes its open requests', async () => {
    const key = target('plain')
    const [endpoint] = (await wake(key)).ready
    const answer = get(endpoint!, '/slow')
    const [pod] = await world.pods(key)
    // Deleted by another client, as in an eviction or when a node is drained.
    await world.api.request('DELETE', world.path('pods', pod!.metadata!.name))
    await news.until(key, ({ ready }) => !ready.some(({ id }) => id === endpoint!.id))
    expect((await answer).text).toBe('whole')
    const { ready } = await news.until(key, count(1))
    expect(ready[0]!.id).not.toBe(endpoint!.id)
    await world.driver.scale(key, 0, { signal })
  })

  test('gets no requests while the cluster reports it as not ready, and gets requests again afterwards', async () => {
    const key = target('readiness')
    const service = {
      metadata: { name: key, labels: { [LABEL]: key } },
      spec: { clusterIP: 'None', selector: { [LABEL]: key }, ports: [{ port: PORT }] },
    }
    await world.api.request('POST', world.path('services'), { body: service })
    const [endpoint] = (await wake(key)).ready
    await until(async () => isReady((await world.pods(key))[0]!))
    const name = (await world.pods(key))[0]!.metadata!.name!
    await exec(name, 'touch /tmp/withdrawn')
    await news.until(key, count(0))
    await exec(name, 'rm /tmp/withdrawn')
    const { ready } = await news.until(key, count(1))
    expect(ready[0]!.id).toBe(endpoint!.id)
    await world.driver.scale(key, 0, { signal })
  })

  test('is found by a driver that starts later, with its Deployment', async () => {
    const key = target('plain')
    const [endpoint] = (await wake(key)).ready
    const kubeConfig = new KubeConfig()
    kubeConfig.loadFromFile(inject('cluster').kubeconfig)
    await using other = await createKubernetesDriver({
      kubeConfig,
      namespace: 'scaler-driver',
      targetLabel: LABEL,
      port: PORT,
    })
    await using heard = await News.of(other)
    expect((await heard.until(key, count(1))).ready[0]!.id).toBe(endpoint!.id)
    // The other driver scales the target to zero, and this one is notified.
    await other.scale(key, 0, { signal })
    await news.until(key, count(0))
    await wake(key)
    await heard.until(key, count(1))
    await world.driver.scale(key, 0, { signal })
    await heard.until(key, count(0))
  })
})

const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

/** Runs a command in the pod's container. */
async function exec(pod: string, command: string): Promise<void> {
  const { kubeconfig } = inject('cluster')
  await promisify(execFile)('kubectl', [
    ...['--kubeconfig', kubeconfig, '-n', 'scaler-driver', 'exec', pod, '--', 'sh', '-c', command],
  ])
}
