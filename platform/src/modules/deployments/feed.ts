import { EventEmitter, on } from 'node:events'
import type { StageEvent } from './types.ts'

/** An event and its number within its deployment, from 1. */
export interface Numbered {
  readonly number: number
  readonly event: StageEvent
}

/** Tells watchers of a deployment its events as they happen. In one process an emitter does; replicas would read a change stream. */
export interface DeploymentFeed {
  publish(deploymentId: string, item: Numbered): void
  /** Everything published from the call on, kept until it is read. Ends with an AbortError when the signal fires. */
  listen(deploymentId: string, signal: AbortSignal): AsyncIterable<Numbered>
  /** How many listen now. */
  listeners(): number
}

export function createDeploymentFeed(): DeploymentFeed {
  const emitter = new EventEmitter().setMaxListeners(0)
  return {
    publish: (deploymentId, item) => void emitter.emit(deploymentId, item),
    listen(deploymentId, signal) {
      const events = on(emitter, deploymentId, { signal }) as AsyncIterableIterator<[Numbered]>
      return (async function* () {
        for await (const [item] of events) yield item
      })()
    },
    listeners: () =>
      emitter
        .eventNames()
        .reduce((sum, name) => sum + (name === 'error' ? 0 : emitter.listenerCount(name)), 0),
  }
}
