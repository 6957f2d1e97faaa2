import { EventEmitter } from 'node:events'

/** Notifies watchers when this replica or another has changed a deployment. The new state is in the store. */
export interface DeploymentFeed {
  changed(deployment: { deploymentId: string; appId?: string }): void
  /** Call it when changes may have been missed: all watchers then read the state again. */
  changesLost(): void
  /** Watches for changes from this call on, until the result is disposed of. */
  watchDeployment(deploymentId: string): Changes
  watchApp(appId: string): Changes
  /** The number of watchers. */
  watchers(): number
}

export interface Changes extends Disposable {
  /** Resolves when something has changed since the last call; several changes count as one. Rejects when the signal aborts. */
  next(signal: AbortSignal): Promise<void>
}

const DEPLOYMENT = 'deployment '
const APP = 'app '

export function createDeploymentFeed(): DeploymentFeed {
  const emitter = new EventEmitter().setMaxListeners(0)

  function watch(name: string): Changes {
    let changed = false
    let wake = (): void => undefined
    const listener = (): void => {
      changed = true
      wake()
    }
    emitter.on(name, listener)
    return {
      async next(signal) {
        signal.throwIfAborted()
        if (!changed) {
          await new Promise<void>((resolve, reject) => {
            const give = (): void => reject(signal.reason as Error)
            signal.addEventListener('abort', give, { once: true })
            wake = () => {
              signal.removeEventListener('abort', give)
              resolve()
            }
          })
        }
        changed = false
      },
      [Symbol.dispose]: () => void emitter.off(name, listener),
    }
  }

  return {
    changed({ deploymentId, appId }) {
      emitter.emit(DEPLOYMENT + deploymentId)
      if (appId !== undefined) emitter.emit(APP + appId)
    },
    changesLost() {
      for (const name of emitter.eventNames()) emitter.emit(name)
    },
    watchDeployment: (deploymentId) => watch(DEPLOYMENT + deploymentId),
    watchApp: (appId) => watch(APP + appId),
    watchers: () =>
      emitter
        .eventNames()
        .filter((name) => String(name).startsWith(DEPLOYMENT))
        .reduce((sum, name) => sum + emitter.listenerCount(name), 0),
  }
}
