import type { V1Pod } from '@kubernetes/client-node'
import { KubernetesApiError, linesOf, type KubernetesApi } from '@fp/scaler/kubernetes'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { LogLine, LogStore } from './log-store.ts'
import { APP_LABEL } from './names.ts'
import type { ObjectStore } from './store.ts'

export interface LogCollectorDeps {
  readonly api: KubernetesApi
  readonly store: ObjectStore
  readonly logs: LogStore
  readonly log: Logger
}

/** Follows what pods print, for as long as it is told of them. */
export interface LogCollector extends AsyncDisposable {
  /** At each change of a pod of an app. */
  seen(pod: V1Pod): void
}

/** Lines are kept in batches: as many as came meanwhile, at most so many, at most so late (ms). */
const BATCH = 200
const BATCH_TIME = 200
/** A longer line is cut: in characters. */
const MAX_LINE = 16_384
/** Until a log that broke off is asked for again, ms. */
const RETRY = 1_000

/**
 * Reads the log of each pod from its beginning until its container has ended, so that nothing is lost when the pod
 * vanishes. A container that is started again is followed anew; lines that were kept already are not kept twice.
 */
export function createLogCollector(deps: LogCollectorDeps): LogCollector {
  const stopped = new AbortController()
  /** By pod and life of its container. */
  const following = new Map<string, Promise<void>>()

  function seen(pod: V1Pod): void {
    const container = pod.status?.containerStatuses?.[0]
    if (!container || stopped.signal.aborted) return
    // Before it has run there is nothing to read.
    if (!container.state?.running && !container.state?.terminated && !container.lastState?.terminated) return
    const id = `${pod.metadata!.uid}/${container.restartCount}`
    if (following.has(id)) return
    const followed = follow(deps, pod, stopped.signal).finally(() => {
      // It is told of again while it ends; what was read to its end is not read again.
      setTimeout(() => following.delete(id), FORGET).unref()
    })
    following.set(id, followed)
  }

  return {
    seen,
    async [Symbol.asyncDispose]() {
      stopped.abort(new Error('The collector has been stopped.'))
      await Promise.all(following.values())
    },
  }
}

/** ms: longer than a pod takes to go once its container has ended. */
const FORGET = 120_000

async function follow(
  { api, store, logs, log }: LogCollectorDeps,
  pod: V1Pod,
  signal: AbortSignal,
): Promise<void> {
  const { name, labels } = pod.metadata!
  const appId = labels![APP_LABEL]!
  for (;;) {
    try {
      const last = await logs.last(name!)
      const body = await api.stream(`${store.path('pods', name)}/log`, {
        query: { container: 'app', follow: true, timestamps: true, ...(last ? { sinceTime: last } : {}) },
        signal,
      })
      await keep(linesOf(body), last ?? '', { appId, pod: name! }, logs)
      return
    } catch (error) {
      if (signal.aborted) return
      // The pod is gone, and its log with it.
      if (error instanceof KubernetesApiError && error.status === 404) return
      log.debug({ err: error, pod: name }, 'the log of a pod broke off; trying again')
      await delay(RETRY, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
    }
  }
}

async function keep(
  lines: AsyncIterable<string>,
  after: string,
  of: Pick<LogLine, 'appId' | 'pod'>,
  logs: LogStore,
): Promise<void> {
  let batch: LogLine[] = []
  let writing = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let failed: unknown
  const flush = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    const full = batch
    batch = []
    writing = writing.then(() => logs.append(full)).catch((error: unknown) => void (failed = error))
    return writing
  }
  try {
    for await (const line of lines) {
      if (failed) throw failed
      const space = line.indexOf(' ')
      const stamp = padded(line.slice(0, space))
      // Asked for from a whole second on: what came before the last that is kept is kept too.
      if (space < 0 || stamp <= after) continue
      batch.push({ ...of, stamp, text: line.slice(space + 1, space + 1 + MAX_LINE) })
      // Reading waits for writing: an app that prints without end is slowed by its own log's limits, not by memory.
      if (batch.length >= BATCH) await flush()
      else timer ??= setTimeout(() => void flush(), BATCH_TIME)
    }
  } finally {
    await flush()
  }
  if (failed) throw failed
}

/** `2026-01-02T03:04:05.6Z` with all nine digits, as texts are compared. */
export function padded(stamp: string): string {
  const [, seconds, fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(stamp) ?? [undefined, stamp]
  return `${seconds}.${fraction.padEnd(9, '0')}Z`
}
