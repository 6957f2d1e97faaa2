import type { KubernetesObject } from '@kubernetes/client-node'
import { KubernetesApiError } from '@fp/scaler/kubernetes'
import type { Kind, ObjectStore } from '../store.ts'

type Stored = KubernetesObject & { metadata: NonNullable<KubernetesObject['metadata']> }
type Call = 'list' | 'get' | 'create' | 'patch' | 'remove'

/** The objects of a namespace, with the API server's version rules and with notifications. */
export class MemoryStore implements ObjectStore {
  /** The calls, e.g. `create pods pool-1`. */
  readonly asked: string[] = []
  /** Called before each call. If it throws, that is the answer. */
  before: (call: Call, kind: Kind, name: string) => void = () => undefined
  /** Time of day at which objects are made. */
  wall: () => number = () => 0
  /** Called at each deletion. */
  readonly onRemoved = new Map<Kind, () => void>()
  readonly #objects = new Map<Kind, Map<string, Stored>>()
  #version = 0

  path(kind: Kind, name = ''): string {
    return `/${kind}/${name}`
  }

  async list<T>(kind: Kind, labelSelector: string): Promise<T[]> {
    this.#ask('list', kind, labelSelector)
    const [label = '', value] = labelSelector.split('=')
    const matches = ({ metadata: { labels } }: Stored): boolean =>
      value === undefined ? labels?.[label] !== undefined : labels?.[label] === value
    return this.all<Stored>(kind).filter(matches) as T[]
  }

  async get<T>(kind: Kind, name: string): Promise<T | undefined> {
    this.#ask('get', kind, name)
    return this.#of(kind).get(name) as T | undefined
  }

  async create<T extends KubernetesObject>(kind: Kind, object: T): Promise<T | undefined> {
    const name = object.metadata!.name!
    this.#ask('create', kind, name)
    if (this.#of(kind).has(name)) return undefined
    return this.put(kind, object)
  }

  async patch<T>(kind: Kind, name: string, body: object): Promise<T | undefined> {
    this.#ask('patch', kind, name)
    const before = this.#of(kind).get(name)
    const wanted = (body as KubernetesObject).metadata?.resourceVersion
    if (!before || (wanted !== undefined && wanted !== before.metadata.resourceVersion)) return undefined
    return this.put(kind, merged(before, body) as Stored) as T
  }

  async remove(kind: Kind, name: string, options: { resourceVersion?: string } = {}): Promise<void> {
    this.#ask('remove', kind, name)
    const there = this.#of(kind).get(name)
    if (options.resourceVersion && there?.metadata.resourceVersion !== options.resourceVersion) return
    this.drop(kind, name)
  }

  /** Returns all objects without recording a call. */
  all<T extends KubernetesObject>(kind: Kind): T[] {
    return [...this.#of(kind).values()] as KubernetesObject[] as T[]
  }

  names(kind: Kind): string[] {
    return [...this.#of(kind).keys()].sort()
  }

  /** Creates or changes an object like another client. */
  put<T extends KubernetesObject>(kind: Kind, object: T): T {
    const { name = '' } = object.metadata!
    const before = this.#of(kind).get(name)?.metadata
    const resourceVersion = String(++this.#version)
    const metadata = {
      creationTimestamp: new Date(this.wall()) as never,
      uid: `${kind}-${resourceVersion}`,
      ...before,
      ...object.metadata,
      resourceVersion,
    }
    const stored = { ...object, metadata }
    this.#of(kind).set(name, stored)
    return stored
  }

  /** Deletes an object like another client. */
  drop(kind: Kind, name: string): void {
    if (this.#of(kind).delete(name)) this.onRemoved.get(kind)?.()
  }

  #of(kind: Kind): Map<string, Stored> {
    const known = this.#objects.get(kind)
    if (known) return known
    const objects = new Map<string, Stored>()
    this.#objects.set(kind, objects)
    return objects
  }

  #ask(call: Call, kind: Kind, name: string): void {
    this.asked.push(`${call} ${kind} ${name}`)
    this.before(call, kind, name)
  }
}

/** RFC 7386: null takes away, objects are merged, everything else is replaced. */
function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = {
    ...(typeof before === 'object' && !Array.isArray(before) ? before : {}),
  }
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined) continue
    if (value === null) delete result[name]
    else result[name] = merged(result[name], value)
  }
  return result
}

export function refusal(status: number, message = 'refused', reason = 'Test'): KubernetesApiError {
  return new KubernetesApiError(message, status, reason)
}
