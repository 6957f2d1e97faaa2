import type { V1Pod } from '@kubernetes/client-node'
import { once } from 'node:events'
import { createServer, type Server, type AddressInfo } from 'node:net'
import { describe, expect, inject, test } from 'vitest'
import { PATIENCE, saying, useInstallation } from './world.ts'

const world = useInstallation()

/** An app that tries forbidden things on request. */
const PROBE = `import os
import pathlib
import socket

from fastapi import FastAPI
from pymongo import MongoClient
from pymongo.errors import PyMongoError

app = FastAPI()


@app.get("/connect")
def connect(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=3).close()
        return "reached"
    except OSError as error:
        return f"not reached: {type(error).__name__}"


@app.get("/resolve")
def resolve(host: str) -> str:
    return socket.gethostbyname(host)


@app.get("/mongo")
def mongo() -> list[str]:
    client = MongoClient(os.environ["PLATFORM_MONGO_URI"], serverSelectionTimeoutMS=5000)
    client.get_default_database().things.insert_one({"a": 1})
    return client.list_database_names()


held: list[socket.socket] = []


@app.get("/hold")
def hold(count: int) -> int:
    for _ in range(count):
        held.append(socket.create_connection(("fp-mongodb-0.fp-mongodb.fp-system.svc", 27018), timeout=10))
    return len(held)


@app.get("/ping")
def ping() -> str:
    try:
        with MongoClient(os.environ["PLATFORM_MONGO_URI"], serverSelectionTimeoutMS=5000) as client:
            client.get_default_database().command("ping")
        return "answered"
    except PyMongoError as error:
        return str(error)


@app.get("/me")
def me() -> dict[str, object]:
    status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":\\t" in line)
    def can_write(path: str) -> bool:
        try:
            pathlib.Path(path).write_text("x")
            return True
        except OSError:
            return False
    return {
        "uid": os.getuid(),
        "capabilities": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")],
        "no_new_privs": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "token": pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists(),
        "writes": [path for path in ("/x", "/usr/x", "/opt/fp/x", "/app/app.py", "/tmp/x") if can_write(path)],
        "names": sorted(name for name in os.environ if "KEY" in name or "TOKEN" in name or "SERVICE" in name),
    }
`

describe.each(['pool', 'deployment'])('a pod of the %s', (source) => {
  async function prober(): Promise<string> {
    const { app_id: appId } = await world.user.liveApp({ code: PROBE })
    for (;;) {
      await world.user.call(appId, '/me')
      const [pod] = await world.running(appId)
      if (pod?.metadata?.labels?.['fp.dev/source'] === source) return appId
      await world.asleep(appId)
      await world.reallyAsleep(appId)
      if (source === 'deployment') await world.emptyPool()
      else
        await expect
          .poll(() => world.fp.kubectl('-n', 'fp-apps', 'get', 'pods', '-l', 'fp.dev/role=pool'), PATIENCE)
          .toContain('1/1')
    }
  }

  test('reaches MongoDB and names, and nothing else', async () => {
    const appId = await prober()
    const { app_id: other } = await (await world.someone()).liveApp({ code: saying('other') })
    const ask = async (path: string): Promise<unknown> => (await world.user.call(appId, path)).json()
    const addressOf = async (
      kind: string,
      namespace: 'fp-apps' | 'fp-system',
      selector: string,
    ): Promise<string> =>
      (await world.fp.objects<V1Pod>(kind, namespace, selector)).find(({ status }) => status?.podIP)!.status!
        .podIP!

    expect(await ask('/resolve?host=fp-mongodb-0.fp-mongodb.fp-system.svc')).toMatch(/^10\./)
    expect(await ask('/connect?host=fp-mongodb-0.fp-mongodb.fp-system.svc&port=27018')).toBe('reached')
    // It sees only its own database there.
    expect(await ask('/mongo')).toEqual([expect.stringMatching(/^fp_/)])

    const platform = await addressOf('pods', 'fp-system', 'app.kubernetes.io/name=fp-platform')
    const neighbour = await addressOf('pods', 'fp-apps', `fp.dev/app=${other}`)
    const closed: Record<string, string> = {
      'the API server': 'host=kubernetes.default.svc&port=443',
      'the API server on the node': `host=${world.fp.address}&port=6443`,
      kubelet: `host=${world.fp.address}&port=10250`,
      'the metadata address': 'host=169.254.169.254&port=80',
      'MongoDB past its relay': 'host=fp-mongodb-0.fp-mongodb.fp-system.svc&port=27017',
      'another app': `host=${neighbour}&port=8000`,
      'the platform': `host=${platform}&port=8080`,
      'the platform by its Service': 'host=fp-platform.fp-system.svc&port=80',
      'the platform by the node': `host=${world.fp.address}&port=${world.fp.port}`,
    }
    for (const [what, where] of Object.entries(closed))
      expect(await ask(`/connect?${where}`), what).toMatch(/^not reached/)
    console.log(
      `from a pod of the ${source}: MongoDB and DNS reached, not reached: ${Object.keys(closed).join(', ')}`,
    )
  })

  test('has no rights, and can write only to its own two folders', async () => {
    const appId = await prober()
    const me = (await world.user.call(appId, '/me')).json() as Record<string, unknown>
    expect(me).toMatchObject({
      capabilities: ['0000000000000000', '0000000000000000', '0000000000000000'],
      no_new_privs: '1',
      seccomp: '2',
      token: false,
      names: ['FP_SESSION_KEY'],
    })
    expect(me['uid']).toBeGreaterThan(100_000)
    expect(me['writes']).toEqual(['/tmp/x'])
  })
})

test('an app that opens as many connections to MongoDB as it can takes none from others', async () => {
  const { app_id: greedy } = await world.user.liveApp({ code: PROBE })
  const { app_id: other } = await (await world.someone()).liveApp({ code: PROBE })
  const ask = async (appId: string, path: string): Promise<unknown> =>
    (await world.user.call(appId, path)).json()
  expect(await ask(greedy, '/hold?count=140')).toBe(140)
  // An app with too many connections gets an error that says what to do, and its driver shows it.
  expect(await ask(greedy, '/ping')).toContain('FP_DATABASE_CONNECTIONS')
  expect(await ask(other, '/ping')).toBe('answered')
  expect(await world.user.client.apps.list()).toBeDefined()
})

test('an app reaches what the admin allows it, and only that', async () => {
  const { hostAddress } = inject('cluster')
  const [allowed, other] = [createServer().listen(0), createServer().listen(0)]
  await Promise.all([once(allowed, 'listening'), once(other, 'listening')])
  const portOf = (server: Server): number => (server.address() as AddressInfo).port
  const { app_id: appId } = await world.user.liveApp({ code: PROBE })
  const ask = async (server: Server): Promise<unknown> =>
    (await world.user.call(appId, `/connect?host=${hostAddress}&port=${portOf(server)}`)).json()
  const allow = (egress: unknown[]): Promise<string> =>
    world.fp.kubectl(
      ...['-n', 'fp-apps', 'patch', 'networkpolicy', 'egress-allowed', '--type=merge'],
      ...['-p', JSON.stringify({ spec: { egress } })],
    )
  try {
    expect(await ask(allowed)).toMatch(/^not reached/)
    const to = [{ ipBlock: { cidr: `${hostAddress}/32` } }]
    await allow([{ to, ports: [{ port: portOf(allowed) }] }])
    await expect.poll(() => ask(allowed), PATIENCE).toBe('reached')
    expect(await ask(other)).toMatch(/^not reached/)
  } finally {
    await allow([])
    allowed.close()
    other.close()
  }
})

test('two users cannot reach each other', async () => {
  const [ann, bob] = [await world.someone(), await world.someone()]
  const { app_id: anns } = await ann.liveApp({
    code: saying('ann'),
    env_vars: { SECRET: { value: 's', secret: true } },
  })
  for (const [method, path] of [
    ['GET', `/apps/${anns}`],
    ['GET', `/apps/${anns}/logs`],
    ['POST', `/apps/${anns}/deploy`],
    ['POST', `/apps/${anns}/sleep`],
    ['DELETE', `/apps/${anns}`],
    ['POST', `/apps/${anns}/proxy`],
  ] as const) {
    const body = path.endsWith('/proxy') ? { method: 'GET', path: '/' } : undefined
    expect((await bob.api(method, path, body)).status, `${method} ${path}`).toBe(404)
  }
  expect((await ann.call(anns, '/')).status).toBe(200)
})

/** Whether a service account may do something, according to Kubernetes. A subresource is named as in kubectl. */
const may =
  (account: string) =>
  async (verb: string, what: string, namespace: string): Promise<string> => {
    const as = `--as=system:serviceaccount:${account}`
    const text = await world.fp
      .kubectl('auth', 'can-i', verb, ...what.split(' '), '-n', namespace, as)
      .catch(({ stdout }: { stdout: string }) => stdout)
    return text.trim()
  }

test('the platform has the rights that it needs, and no others', async () => {
  const can = may('fp-system:fp-platform')
  for (const [verb, what, namespace] of [
    ['create', 'deployments', 'fp-apps'],
    ['patch', 'deployments --subresource=scale', 'fp-apps'],
    ['delete', 'pods', 'fp-apps'],
    ['get', 'pods --subresource=log', 'fp-apps'],
  ] as const)
    expect(await can(verb, what, namespace), `${verb} ${what}`).toBe('yes')
  for (const [verb, what, namespace] of [
    ['update', 'leases/fp-leader', 'fp-system'],
    ['get', 'secrets', 'fp-system'],
    ['list', 'secrets', 'kube-system'],
    ['create', 'pods', 'fp-system'],
    ['create', 'pods --subresource=exec', 'fp-apps'],
    ['list', 'nodes', 'default'],
    ['create', 'rolebindings', 'fp-apps'],
    ['patch', 'networkpolicies', 'fp-apps'],
  ] as const)
    expect(await can(verb, what, namespace), `${verb} ${what}`).toBe('no')
})

test('an app has no rights, and MongoDB may only create the Secret', async () => {
  const app = may('fp-apps:fp-app')
  expect(await app('list', 'pods', 'fp-apps')).toBe('no')
  expect(await app('get', 'secrets', 'fp-apps')).toBe('no')
  const mongodb = may('fp-system:fp-mongodb')
  expect(await mongodb('get', 'secrets/fp-secrets', 'fp-system')).toBe('yes')
  expect(await mongodb('get', 'secrets/another', 'fp-system')).toBe('no')
  expect(await mongodb('patch', 'secrets/fp-secrets', 'fp-system')).toBe('no')
  expect(await mongodb('create', 'secrets', 'fp-apps')).toBe('no')
})

test.each(['fp-apps', 'fp-system'])('%s admits no privileged pod', async (namespace) => {
  const container = { name: 'a', image: 'fp/runner:e2e', securityContext: { privileged: true } }
  const overrides = JSON.stringify({ apiVersion: 'v1', spec: { containers: [container] } })
  const run = world.fp.kubectl(
    ...['-n', namespace, 'run', 'a', '--image=fp/runner:e2e', '--overrides', overrides],
  )
  await expect(run).rejects.toThrow(/violates PodSecurity/)
})
