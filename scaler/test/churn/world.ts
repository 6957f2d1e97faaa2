import Fastify from 'fastify'
import { Agent } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createActivator, DEFAULT_POLICY } from '../../src/activator.ts'
import { createProcessDriver } from '../../src/drivers/process/index.ts'
import { settle } from '../../src/drivers/fake/index.ts'
import { ScalerError } from '../../src/errors.ts'
import { scalerProxy } from '../../src/http/index.ts'
import type { Activator, Driver, TargetKey, TargetPolicy } from '../../src/types.ts'
import { News } from '../../src/contract/news.ts'
import type { Ledger } from './ledger.ts'

const APP = join(import.meta.dirname, 'app.mjs')
/** The services that are not like the others. */
const POLICIES: Record<string, Partial<TargetPolicy>> = {
  /** Has several replicas, of which one may crash. */
  twins: { minReplicas: 2 },
  /** Falls asleep by itself as soon as it can; ms. */
  dozer: { idleTimeout: 1 },
}

/** Real processes behind a real front: what is churned. */
export interface World extends AsyncDisposable {
  readonly activator: Activator
  readonly port: number
  readonly agent: Agent
  /** What the driver says, before the activator hears it. */
  readonly news: News
  /** The target that a service's requests go to at the moment; a new one after `replace`. */
  target(service: string): TargetKey
  /** Returns the target that was. */
  replace(service: string): TargetKey
  /** Resolves once all replicas of the target are ready. */
  complete(key: TargetKey): Promise<unknown>
  /** The process of the oldest of the target's replicas. */
  pid(key: TargetKey): number
  /** Kills the oldest of the target's replicas; resolves when the driver has said that it is gone. */
  kill(key: TargetKey): Promise<void>
  /** Keeps the driver's news of a target from the activator until that scales it. */
  keepUnaware(key: TargetKey): void
  /** Resolves when the target has been put to sleep. */
  asleep(key: TargetKey): Promise<void>
  /** Everything that was ever started. */
  readonly pids: ReadonlyMap<string, number>
}

export async function createWorld(ledger: Ledger): Promise<World> {
  const pids = new Map<string, number>()
  const versions = new Map<string, number>()
  const lines = new Map<string, string>()
  const sleepers = new Map<TargetKey, () => void>()
  const unaware = new Map<TargetKey, (() => void)[]>()
  const target = (service: string): TargetKey => `${service}.${versions.get(service) ?? 1}`

  const processes = createProcessDriver({
    command: (_key, { socketPath }) => ({
      command: process.execPath,
      args: [APP, socketPath],
      listen: 'socket',
    }),
    onOutput(key, { replica, text }) {
      const id = `${key}-${replica}`
      const all = ((lines.get(id) ?? '') + text).split('\n')
      lines.set(id, all.pop()!)
      for (const line of all) {
        const [what, value = ''] = line.split(' ')
        if (what === 'pid') pids.set(id, Number(value))
        else if (what === 'id') ledger.arrived(value)
        else throw new Error(`the app ${id} says: ${line}`)
      }
    },
  })
  const news = await News.of(processes)

  const driver: Driver = {
    name: 'late',
    async scale(key, replicas, options) {
      const kept = unaware.get(key) ?? []
      unaware.delete(key)
      for (const tell of kept) tell()
      // Time for requests to come to a target that is about to end.
      if (replicas === 0) await settle()
      await processes.scale(key, replicas, options)
    },
    watch: (onChange) =>
      processes.watch((key, state) => {
        const kept = unaware.get(key)
        if (kept) kept.push(() => onChange(key, state))
        else onChange(key, state)
      }),
  }
  const activator = await createActivator({
    driver,
    policy: policyOf,
    observer: { asleep: (key) => sleepers.get(key)?.() },
  })

  const proxy = Fastify({ forceCloseConnections: true })
  proxy.setErrorHandler((error: Error, _request, reply) => {
    const known = error instanceof ScalerError
    return reply.code(known ? error.statusCode : 500).send(known ? error.code : error.stack)
  })
  await proxy.register(scalerProxy, {
    activator,
    resolve: (request) => Promise.resolve(target(request.headers.host!)),
  })
  await proxy.listen({ port: 0, host: '127.0.0.1' })
  const { port } = proxy.server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true })
  let disposal: Promise<void> | undefined

  async function dispose(): Promise<void> {
    agent.destroy()
    await proxy.close()
    await activator.close()
    // Reads what the apps have said to the end.
    await processes[Symbol.asyncDispose]()
  }

  return {
    activator,
    port,
    agent,
    news,
    pids,
    target,
    replace(service) {
      const was = target(service)
      versions.set(service, (versions.get(service) ?? 1) + 1)
      return was
    },
    complete: (key) =>
      news.until(key, ({ ready }) => ready.length === Math.max(1, policyOf(key).minReplicas)),
    pid: (key) => pids.get(news.ready(key)[0]!)!,
    async kill(key) {
      const id = news.ready(key)[0]!
      process.kill(pids.get(id)!, 'SIGKILL')
      await news.until(key, ({ ready }) => !ready.some((endpoint) => endpoint.id === id))
      // What else its end brings about, at its connections, is brought about.
      await settle()
    },
    keepUnaware: (key) => void unaware.set(key, []),
    asleep: (key) => new Promise((resolve) => sleepers.set(key, resolve)),
    [Symbol.asyncDispose]: () => (disposal ??= dispose()),
  }
}

function policyOf(key: TargetKey): TargetPolicy {
  return { ...DEFAULT_POLICY, ...POLICIES[key.split('.')[0]!] }
}
