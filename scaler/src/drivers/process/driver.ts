import { systemClock } from '../../clock.ts'
import type { ScaleOptions, TargetKey, TargetState } from '../../types.ts'
import { Guard } from './guard.ts'
import { checkOptions, type ProcessDriver, type ProcessDriverOptions } from './options.ts'
import { Places } from './places.ts'
import { answerOf } from './probe.ts'
import { ReplicaSet } from './replica-set.ts'
import { Replica, type ReplicaDeps } from './replica.ts'

/** ms from SIGTERM until SIGKILL: the time in which a replica can finish its open requests. */
const STOP_TIMEOUT = 30_000

/**
 * Runs targets as processes of this machine: any command that listens on a port or a unix socket. A replica is ready when it
 * answers HTTP. A replica that ends by itself is restarted after a growing delay, as long as another replica of its target is
 * ready; if none is, the target fails and starts again at its next `scale`. Processes end with the driver, and with this process
 * however it ends: a small shell process notices its end and stops them.
 */
export function createProcessDriver(options: ProcessDriverOptions): ProcessDriver {
  checkOptions(options)
  const { command, readiness = {}, stopTimeout = STOP_TIMEOUT, onOutput, clock = systemClock } = options
  const places = new Places()
  const probe = { path: readiness.path ?? '/', status: readiness.status }
  const guard = new Guard(places.folder, stopTimeout)
  const deps: ReplicaDeps = { command, onOutput, stopTimeout, probe, places, guard, clock }
  /** The targets that have replicas or should have some. */
  const sets = new Map<TargetKey, ReplicaSet<Replica>>()
  /** All replicas with remaining processes, including those that are stopping. */
  const alive = new Set<Replica>()
  const watchers = new Set<(key: TargetKey, state: TargetState) => void>()
  let disposal: Promise<void> | undefined

  function setOf(key: TargetKey): ReplicaSet<Replica> {
    const known = sets.get(key)
    if (known) return known
    const set = new ReplicaSet<Replica>({
      clock,
      start(hooks) {
        const replica = new Replica(key, deps, hooks)
        alive.add(replica)
        void replica.over.then(() => alive.delete(replica))
        return replica
      },
      report(state) {
        if (set.size === 0) sets.delete(key)
        for (const watcher of [...watchers]) watcher(key, state)
      },
    })
    sets.set(key, set)
    return set
  }

  const abandon = (): void => {
    if (guard.watches) return
    for (const replica of alive) replica.kill()
    places.dispose()
  }
  // This process may end without disposing the driver: by an uncaught error or process.exit.
  process.once('exit', abandon)

  async function dispose(): Promise<void> {
    for (const set of [...sets.values()]) set.scale(0)
    watchers.clear()
    await Promise.all([...alive].map((replica) => replica.over))
    await guard.close()
    places.dispose()
    process.off('exit', abandon)
  }

  return {
    name: 'process',
    async scale(key: TargetKey, replicas: number, { signal, remove }: ScaleOptions) {
      signal.throwIfAborted()
      if (disposal) throw new Error('The process driver has been disposed.')
      return replicas > 0 || sets.has(key) ? setOf(key).scale(replicas, remove) : []
    },
    watch(onChange) {
      for (const [key, set] of sets) onChange(key, set.state)
      watchers.add(onChange)
      return Promise.resolve({
        [Symbol.asyncDispose]: () => {
          watchers.delete(onChange)
          return Promise.resolve()
        },
      })
    },
    async probe(key, { id, url }, signal) {
      // Another replica may listen at the port of one that has ended.
      const runs = sets.get(key)?.state.ready.some((endpoint) => endpoint.id === id) ?? false
      if (runs) await answerOf(url, probe.path, signal)
      return runs
    },
    [Symbol.asyncDispose]: () => (disposal ??= dispose()),
  }
}
