import type {
  KubeConfig,
  KubernetesObject,
  V1Deployment,
  V1Pod,
  V1PodCondition,
} from '@kubernetes/client-node'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { configOf } from './kube-config.ts'

/** What becomes of a request: it is refused with this status, its answer is lost, or it is carried out and answered. */
export type Fate = number | 'lost' | undefined

export type Kind = 'deployments' | 'pods' | 'endpointslices'

/** The label of targets. */
export const TARGET = 'example.org/target'

interface Collection {
  readonly objects: Map<string, KubernetesObject>
  readonly watches: Set<ServerResponse>
  /** News that is held back. */
  held: object[] | undefined
}

/**
 * What a cluster is to the driver: an API server over real HTTP with Deployments that can be scaled, whose pods are made and
 * ended as a ReplicaSet does it (not ready before ready, then by deletion cost, then the newest). Pods start, answer and end
 * when the test says so. News and answers can be late and get lost.
 */
export class TestCluster implements AsyncDisposable {
  /** As `PATCH deployments/app/scale`, without lists and watches. */
  readonly asked: string[] = []
  /** Asked of each request but lists and watches, before it is carried out. */
  fate: (asked: string) => Fate | Promise<Fate> = () => undefined
  /** Told of each when it has been carried out; its answer waits for that. */
  done: (asked: string) => unknown = () => undefined
  /** Whether pods that are told to end are gone at once. */
  endsAtOnce = true
  /** Whether ReplicaSets do anything just now. */
  sets = true
  /** ms until a ReplicaSet hears how many its Deployment is to have. */
  lag = 0
  /** Pods that there have been. */
  made = 0
  /** Of all pods, where it is given. */
  address: string | undefined
  /** Names of pods that answer. */
  readonly answering = new Set<string>()
  readonly #collections: Record<Kind, Collection> = {
    deployments: newCollection(),
    pods: newCollection(),
    endpointslices: newCollection(),
  }
  #version = 100
  /** What ReplicaSets have heard, by Deployment. */
  readonly #heard = new Map<string, number>()
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  static async start(): Promise<TestCluster> {
    const cluster = new TestCluster()
    cluster.#server.listen(0, '127.0.0.1')
    await once(cluster.#server, 'listening')
    return cluster
  }

  get config(): KubeConfig {
    return configOf(this.#server)
  }

  deployment(name: string, replicas = 0): void {
    const metadata = { name, uid: `${name}-uid`, labels: { [TARGET]: name } }
    this.#put('deployments', { metadata, spec: { replicas } } as KubernetesObject)
    this.#rollOut(name, replicas)
  }

  removeDeployment(name: string): void {
    const { objects } = this.#collections.deployments
    this.#tell('deployments', 'DELETED', objects.get(name)!)
    objects.delete(name)
    this.#heard.delete(name)
    for (const pod of this.alive(name)) this.end(pod)
  }

  replicas(name: string): number {
    return (this.#collections.deployments.objects.get(name) as V1Deployment).spec!.replicas!
  }

  /** One that no ReplicaSet controls. */
  loosePod(target: string): V1Pod {
    return this.#makePod(target, [])
  }

  /** Those that are there, oldest first. */
  pods(target: string): V1Pod[] {
    return ([...this.#collections.pods.objects.values()] as V1Pod[]).filter(
      ({ metadata }) => metadata!.labels![TARGET] === target,
    )
  }

  /** Names of those that are not being ended. */
  alive(target: string): string[] {
    return this.pods(target).filter(isActive).map(nameOf)
  }

  change(name: string, change: (pod: V1Pod) => void): void {
    const pod = structuredClone(this.#collections.pods.objects.get(name) as V1Pod)
    const before = pod.metadata!.labels![TARGET]!
    change(pod)
    this.#put('pods', pod)
    this.#reconcile(before)
  }

  /** kubelet's word. */
  kubelet(name: string, ready: boolean): void {
    this.change(name, (pod) => (pod.status!.conditions = [condition('Ready', ready)]))
  }

  /** Told to end, as by an eviction. */
  end(name: string): void {
    this.change(name, ({ metadata }) => (metadata!.deletionTimestamp = new Date(0)))
    if (this.endsAtOnce) this.vanish(name)
  }

  vanish(name: string): void {
    const { objects } = this.#collections.pods
    const pod = objects.get(name) as V1Pod
    objects.delete(name)
    this.#tell('pods', 'DELETED', pod)
    this.#reconcile(pod.metadata!.labels![TARGET]!)
  }

  /** Whoever watches hears nothing of these until `release`. */
  hold(kind: Kind): void {
    this.#collections[kind].held ??= []
  }

  /** The first `count` of what was held back, or all of it and what comes after. */
  release(kind: Kind, count?: number): void {
    const { held = [], watches } = this.#collections[kind]
    for (const event of held.splice(0, count ?? held.length)) {
      for (const watch of watches) watch.write(`${JSON.stringify(event)}\n`)
    }
    if (count === undefined) this.#collections[kind].held = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, 'http://test')
    const [kind, name, sub] = pathname.replace(/^.*\/namespaces\/apps\//, '').split('/')
    if (request.method === 'GET') return this.#read(this.#collections[kind as Kind], searchParams, response)
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString()) as KubernetesObject
    const asked = `${request.method} ${[kind, name, sub].filter(Boolean).join('/')}`
    this.asked.push(asked)
    const fate = await this.fate(asked)
    if (typeof fate === 'number') return refuse(response, fate)
    const known = this.#collections[kind as Kind].objects.get(name!)
    const done = known && this.#carryOut(request.method!, known, body)
    await this.done(asked)
    if (fate === 'lost') response.destroy()
    else if (done) response.end(JSON.stringify(done))
    else refuse(response, 404)
  }

  #read({ objects, watches }: Collection, query: URLSearchParams, response: ServerResponse): void {
    if (query.has('watch')) {
      response.writeHead(200).flushHeaders()
      watches.add(response)
      response.once('close', () => watches.delete(response))
    } else {
      const metadata = { resourceVersion: String(this.#version) }
      response.end(JSON.stringify({ metadata, items: [...objects.values()] }))
    }
  }

  #carryOut(method: string, known: KubernetesObject, body: KubernetesObject): KubernetesObject | undefined {
    const name = known.metadata!.name!
    if (method === 'DELETE') {
      if ((known as V1Pod).metadata?.deletionTimestamp === undefined) this.end(name)
      return known
    }
    const { replicas } = (body as V1Deployment).spec ?? {}
    if (replicas === undefined) {
      this.change(name, ({ metadata }) =>
        Object.assign((metadata!.annotations ??= {}), body.metadata!.annotations),
      )
      return known
    }
    const before = (known as V1Deployment).spec!.replicas
    if (before !== replicas) this.#put('deployments', { ...known, spec: { replicas } } as V1Deployment)
    const scaled = this.#collections.deployments.objects.get(name)
    this.#rollOut(name, replicas)
    return scaled
  }

  #rollOut(name: string, replicas: number): void {
    const hear = (): void => {
      this.#heard.set(name, replicas)
      this.#reconcile(name)
    }
    if (this.lag > 0) setTimeout(hear, this.lag)
    else hear()
  }

  #reconcile(target: string): void {
    const wanted = this.#heard.get(target)
    if (!this.sets || wanted === undefined) return
    const active = this.pods(target).filter(
      (pod) => isActive(pod) && pod.metadata!.ownerReferences!.length > 0,
    )
    const excess = active.length - wanted
    // Whoever ends a pod calls this again.
    if (excess > 0) this.end(nameOf(active.sort(endedFirst)[0]!))
    if (excess >= 0) return
    this.#makePod(target, [
      { kind: 'ReplicaSet', controller: true, name: target, uid: 'set', apiVersion: 'apps/v1' },
    ])
    this.#reconcile(target)
  }

  #makePod(target: string, ownerReferences: NonNullable<V1Pod['metadata']>['ownerReferences']): V1Pod {
    const name = `${target}-${++this.made}`
    const pod: V1Pod = {
      metadata: { name, uid: `${name}-uid`, labels: { [TARGET]: target }, ownerReferences: ownerReferences! },
      spec: { nodeName: 'node', containers: [] },
      status: { phase: 'Running', podIP: this.address ?? `10.0.0.${this.made}` },
    }
    return this.#put('pods', pod) as V1Pod
  }

  #put(kind: Kind, object: KubernetesObject): KubernetesObject {
    const { objects } = this.#collections[kind]
    const known = objects.has(object.metadata!.name!)
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } }
    objects.set(object.metadata!.name!, stored)
    this.#tell(kind, known ? 'MODIFIED' : 'ADDED', stored)
    return stored
  }

  #tell(kind: Kind, type: string, object: KubernetesObject): void {
    const { held, watches } = this.#collections[kind]
    // A deletion has a version of its own.
    const version = type === 'DELETED' ? String(++this.#version) : object.metadata!.resourceVersion!
    const event = { type, object: { ...object, metadata: { ...object.metadata, resourceVersion: version } } }
    if (held) held.push(event)
    else for (const watch of watches) watch.write(`${JSON.stringify(event)}\n`)
  }
}

export function condition(type: string, holds: boolean): V1PodCondition {
  return { type, status: holds ? 'True' : 'False' }
}

function newCollection(): Collection {
  return { objects: new Map(), watches: new Set(), held: undefined }
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status).end(JSON.stringify({ reason: 'Test', message: 'refused' }))
}

function nameOf({ metadata }: V1Pod): string {
  return metadata!.name!
}

function isActive({ metadata, status }: V1Pod): boolean {
  return !metadata!.deletionTimestamp && status!.phase !== 'Failed'
}

function endedFirst(a: V1Pod, b: V1Pod): number {
  const ready = ({ status }: V1Pod): number => Number(status!.conditions?.[0]?.status === 'True')
  const cost = ({ metadata }: V1Pod): number =>
    Number(metadata!.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0)
  const made = (pod: V1Pod): number => Number(nameOf(pod).split('-').at(-1))
  return ready(a) - ready(b) || cost(a) - cost(b) || made(b) - made(a)
}
