import type { V1Pod, V1Service } from '@kubernetes/client-node'
import { beforeAll, describe, expect, test } from 'vitest'
import { install, type Installation } from '../harness/installation.ts'
import { TestUser } from '../harness/user.ts'

const MONGODB = 'fp-mongodb-0.fp-mongodb.fp-system.svc'
/** A pod's policies may come into force a moment after it. */
const PATIENCE = { timeout: 20_000, interval: 500 }

let fp: Installation
let user: TestUser
beforeAll(async () => {
  fp = await install()
  user = await TestUser.signUp(fp, `walls${Date.now().toString(36)}`)
})

type Place = readonly [host: string, port: number]

/** Which of the places a pod's Python connects to, by name. */
async function reached(pod: string, places: Record<string, Place>): Promise<string[]> {
  const script = `import json, socket, sys
reached = []
for name, (host, port) in json.loads(sys.argv[1]).items():
    try:
        socket.create_connection((host, port), timeout=2).close()
        reached.append(name)
    except OSError:
        pass
print(json.dumps(reached))`
  const text = await fp.kubectl(
    '-n',
    'fp-apps',
    'exec',
    pod,
    '--',
    'python',
    '-c',
    script,
    JSON.stringify(places),
  )
  return JSON.parse(text) as string[]
}

/** The same of the platform's pod. */
async function reachedByPlatform(places: Record<string, Place>): Promise<string[]> {
  const script = `Promise.all(Object.entries(JSON.parse(process.argv[1])).map(([name, [host, port]]) => new Promise((done) => {
    const socket = require('node:net').connect(port, host, () => done([name]) ?? socket.destroy())
    socket.setTimeout(2000, () => socket.destroy()).on('error', () => undefined).on('close', () => done([]))
  }))).then((all) => console.log(JSON.stringify(all.flat())))`
  const text = await fp.kubectl(
    '-n',
    'fp-system',
    'exec',
    'deployment/fp-platform',
    '--',
    'node',
    '-e',
    script,
    JSON.stringify(places),
  )
  return JSON.parse(text) as string[]
}

describe('the network of apps', () => {
  let pod: string
  let forbidden: Record<string, Place>
  beforeAll(async () => {
    const { app_id: appId } = await user.liveApp({ template_id: 'hello-api' })
    expect((await user.call(appId, '/')).status).toBe(200)
    const [mine] = await fp.objects<V1Pod>('pods', 'fp-apps', `fp.dev/app=${appId}`)
    const others = await fp.objects<V1Pod>('pods', 'fp-apps', 'fp.dev/role=pool')
    const [platform] = await fp.objects<V1Pod>('pods', 'fp-system', 'app.kubernetes.io/name=fp-platform')
    const services = await fp.objects<V1Service>('services', 'fp-system')
    const api = JSON.parse(await fp.kubectl('get', 'service', 'kubernetes', '-o', 'json')) as V1Service
    pod = mine!.metadata!.name!
    const other = others.find(({ status }) => status?.containerStatuses?.[0]?.ready)
    const node = mine!.status!.hostIP!
    forbidden = {
      'API server': [api.spec!.clusterIP!, 443],
      'API server, by its node': [node, 6443],
      kubelet: [node, 10_250],
      'platform, by its pod': [platform!.status!.podIP!, 8080],
      'platform, by its Service': [
        services.find(({ metadata }) => metadata!.name === 'fp-platform')!.spec!.clusterIP!,
        80,
      ],
      'platform, by its NodePort': [node, 30_080],
      "another app's pod": [other!.status!.podIP!, 8000],
    }
  })

  test('lets them reach DNS and MongoDB', async () => {
    await expect.poll(() => reached(pod, { mongodb: [MONGODB, 27_017] }), PATIENCE).toEqual(['mongodb'])
  })

  test('lets them reach nothing else', async () => {
    // These answer: it is the policies that keep apps away.
    expect((await reachedByPlatform(forbidden)).sort()).toEqual(Object.keys(forbidden).sort())
    await expect
      .poll(() => reached(pod, { ...forbidden, metadata: ['169.254.169.254', 80] }), PATIENCE)
      .toEqual([])
  })

  test('gives their pods no token', async () => {
    const list = await fp.kubectl('-n', 'fp-apps', 'exec', pod, '--', 'ls', '/var/run').catch(() => '')
    expect(list).not.toContain('secrets')
  })
})

describe('in the cluster', () => {
  const may = (account: string, verb: string, what: string, namespace = 'fp-apps'): Promise<string> =>
    fp
      .kubectl(
        'auth',
        'can-i',
        verb,
        ...what.split(' '),
        '-n',
        namespace,
        `--as=system:serviceaccount:${account}`,
      )
      .catch((error: { stdout?: string }) => error.stdout ?? '')
      .then((text) => text.trim())

  test.each([
    ['create', 'deployments.apps', 'fp-apps', 'yes'],
    ['patch', 'deployments.apps --subresource=scale', 'fp-apps', 'yes'],
    ['get', 'pods --subresource=log', 'fp-apps', 'yes'],
    ['update', 'leases/fp-leader', 'fp-system', 'yes'],
    ['update', 'leases/other', 'fp-system', 'no'],
    ['create', 'pods --subresource=exec', 'fp-apps', 'no'],
    ['delete', 'networkpolicies', 'fp-apps', 'no'],
    ['create', 'rolebindings', 'fp-apps', 'no'],
    ['get', 'secrets/fp-secrets', 'fp-system', 'no'],
    ['create', 'pods', 'fp-system', 'no'],
    ['list', 'secrets', 'kube-system', 'no'],
  ])('the platform may %s %s in %s: %s', async (verb, what, namespace, answer) => {
    expect(await may('fp-system:fp-platform', verb, what, namespace)).toBe(answer)
  })

  test('an app may nothing, and MongoDB only make the Secret', async () => {
    expect(await may('fp-apps:fp-app', 'list', 'pods')).toBe('no')
    expect(await may('fp-apps:fp-app', 'get', 'secrets')).toBe('no')
    expect(await may('fp-system:fp-mongodb', 'get', 'secrets/fp-secrets', 'fp-system')).toBe('yes')
    expect(await may('fp-system:fp-mongodb', 'get', 'secrets/other', 'fp-system')).toBe('no')
    expect(await may('fp-system:fp-mongodb', 'patch', 'secrets/fp-secrets', 'fp-system')).toBe('no')
    expect(await may('fp-system:fp-mongodb', 'create', 'secrets')).toBe('no')
  })

  test('a pod with rights is not let into the namespace of apps', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'privileged', namespace: 'fp-apps' },
      spec: {
        containers: [{ name: 'a', image: 'fp/runner:e2e', securityContext: { privileged: true } }],
      },
    }
    const overrides = JSON.stringify(pod)
    const run = fp.kubectl(
      '-n',
      'fp-apps',
      'run',
      'privileged',
      '--image=fp/runner:e2e',
      '--overrides',
      overrides,
    )
    await expect(run).rejects.toThrow(/violates PodSecurity/)
  })
})

test('what is in MongoDB outlives its pod, and the platform finds it again', async () => {
  const { app_id: appId } = await user.liveApp({ template_id: 'crud-mongodb' })
  const item = { name: 'tea', price: 3 }
  const headers = { 'content-type': 'application/json' }
  const made = await user.call(appId, '/items', { method: 'POST', headers, body: JSON.stringify(item) })
  expect(made.status).toBe(201)
  await fp.kubectl('-n', 'fp-system', 'delete', 'pod', 'fp-mongodb-0', '--wait=true')
  const items = async (): Promise<unknown> => {
    const answer = await user.call(appId, '/items').catch(() => undefined)
    return answer?.status === 200 ? answer.json() : undefined
  }
  await expect
    .poll(items, { timeout: 90_000, interval: 500 })
    .toMatchObject({ total: 1, items: [{ name: 'tea' }] })
  expect((await fetch(`${fp.url}/readyz`)).status).toBe(200)
})
