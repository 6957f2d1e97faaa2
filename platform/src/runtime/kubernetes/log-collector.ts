import type { Clock } from '@fp/scaler'
import { KubernetesApiError, linesOf, type KubernetesApi } from '@fp/scaler/kubernetes'
import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node'
import type { Logger } from 'pino'
import { stamped } from './log-lines.ts'
import type { LogStore } from './log-store.ts'
import { LogWriter } from './log-writer.ts'
import { parseTargetKey } from '../targets.ts'
import { APP_LABEL, TARGET_LABEL } from './names.ts'
import { pause } from '../../pause.ts'
import type { ObjectStore } from './store.ts'

export interface LogCollectorDeps {
  readonly api: KubernetesApi
  readonly store: ObjectStore
  readonly logs: LogStore
  readonly clock: Clock
  /** Called with a pod whose container has ended and whose log was read completely. Must not throw. */
  readonly onRead?: (pod: V1Pod) => void
  readonly log: Logger
}

/** Reads the logs of the pods that are reported to it. */
export interface LogCollector extends AsyncDisposable {
  /** Call it at each change of an app's pod. */
  seen(pod: V1Pod): void
  /** Call it when the pod was deleted. */
  gone(pod: V1Pod): void
}

/** Characters of a line, its time included. A longer line is cut. */
const MAX_LINE = 16_384
/** ms until a log that has ended or broken off is read again. */
const RETRY = 1_000

/**
 * Reads the log of each pod from its beginning until its container has ended, so that nothing is lost when the pod is
 * deleted. A container that is started again is read again; lines that were kept already are not kept twice.
 */
export function createLogCollector(deps: LogCollectorDeps): LogCollector {
  const stopped = new AbortController()
  /** By a pod's uid: the last run of its container that is or was followed. */
  const followed = new Map<string, number>()
  const running = new Set<Promise<void>>()

  function seen(pod: V1Pod): void {
    const container = pod.status?.containerStatuses?.[0]
    if (!container || stopped.signal.aborted) return
    // There is no log before the container has run.
    if (!container.state?.running && !container.state?.terminated && !container.lastState?.terminated) return
    const { uid = '' } = pod.metadata!
    const before = followed.get(uid) ?? -1
    if (before >= container.restartCount) return
    followed.set(uid, container.restartCount)
    const following = follow(deps, pod, container, stopped.signal).then((read) => {
      running.delete(following)
      // Retried at the pod's next change and not before, as the pod may never have a log.
      if (!read && followed.get(uid) === container.restartCount) followed.set(uid, before)
    })
    running.add(following)
  }

  return {
    seen,
    gone: (pod) => void followed.delete(pod.metadata!.uid!),
    async [Symbol.asyncDispose]() {
      stopped.abort(new Error('The collector has been stopped.'))
      await Promise.all(running)
    },
  }
}

/** Follows one run of a container. Resolves to false where it has no log to read. Never rejects. */
async function follow(
  deps: LogCollectorDeps,
  pod: V1Pod,
  container: V1ContainerStatus,
  signal: AbortSignal,
): Promise<boolean> {
  const { store, clock, log } = deps
  const { uid, name = '' } = pod.metadata!
  const life = container.restartCount
  let from: From | undefined
  let latest = pod
  let over = !container.state?.running
  for (;;) {
    try {
      // Read only once: later the last stored line may belong to the container's next run.
      from ??= { last: await deps.logs.last(name), previous: false }
      const read = await keepFrom(deps, pod, from, signal)
      from = { ...from, last: read.last }
      if (read.failed) throw read.failed
      if (over) {
        deps.onRead?.(latest)
        return true
      }
    } catch (error) {
      if (signal.aborted) return true
      const { status = 0 } = error instanceof KubernetesApiError ? error : {}
      // The pod was deleted, and its log with it.
      if (status === 404) return true
      // The container has not started yet, or its log was removed.
      if (status === 400) return false
      log.debug({ err: error, pod: name }, 'reading the log of a pod failed; trying again')
    }
    await pause(clock, RETRY, signal)
    if (signal.aborted) return true
    // The log's stream ends with the container, but also when a proxy closes the connection.
    const now = await store.get<V1Pod>('pods', name).catch(() => pod)
    const state = now?.status?.containerStatuses?.[0]
    if (now?.metadata?.uid !== uid || !state) return true
    latest = now
    const previous = state.restartCount > life
    over = previous || !state.state?.running
    if (from) from = { ...from, previous }
  }
}

interface From {
  /** The time of the last line that was kept. */
  readonly last: string | undefined
  /** The container has been started again since. */
  readonly previous: boolean
}

/** Reads a log until it ends or breaks off. Rejects when it cannot be read at all. */
async function keepFrom(
  { api, store, logs, clock }: LogCollectorDeps,
  { metadata }: V1Pod,
  { last, previous }: From,
  signal: AbortSignal,
): Promise<{ last: string | undefined; failed?: Error }> {
  const { name = '', labels } = metadata!
  const { version } = parseTargetKey(labels![TARGET_LABEL]!)
  const body = await api.stream(`${store.path('pods', name)}/log`, {
    query: {
      container: 'app',
      timestamps: true,
      ...(previous ? { previous } : { follow: true }),
      ...(last ? { sinceTime: last } : {}),
    },
    signal,
  })
  let failed: Error | undefined
  const writer = new LogWriter({
    logs,
    clock,
    last,
    onFailure(error) {
      failed = error
      body.destroy(error)
    },
  })
  try {
    for await (const line of linesOf(body, { maxLength: MAX_LINE })) {
      const read = stamped(line)
      // `sinceTime` has a resolution of a second, so lines that were kept come again.
      if (!read || (last !== undefined && read.stamp <= last)) continue
      await writer.add({ appId: labels![APP_LABEL]!, pod: name, version, ...read })
    }
  } catch (error) {
    failed ??= error as Error
  }
  await writer.flush()
  return { last: writer.last, ...(failed ? { failed } : {}) }
}
