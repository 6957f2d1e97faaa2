import { untilReady, type Driver, type Endpoint, type TargetState } from '@fp/scaler'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { Worker } from 'node:worker_threads'

/** Runs each target as a worker thread. The program `file(key)` listens on the unix socket that is its first argument. */
export function createThreadDriver(file: (key: string) => URL): Driver {
  const threads = new Map<string, { worker: Worker; ready: Endpoint[] }>()
  const watchers = new Set<(key: string, state: TargetState) => void>()
  const report = (key: string, state: TargetState) => watchers.forEach((watcher) => watcher(key, state))
  let starts = 0

  function start(key: string) {
    const id = `${key}-${process.pid}-${++starts}`
    const socketPath = `${tmpdir()}/${id}.sock`
    const thread = { worker: new Worker(file(key), { argv: [socketPath] }), ready: [] as Endpoint[] }
    const ended = new AbortController()
    const answers = (signal: AbortSignal) =>
      new Promise<boolean>((resolve, reject) => {
        get({ socketPath, signal }, ({ statusCode = 0 }) => resolve(statusCode < 500)).on('error', reject)
      })
    threads.set(key, thread)
    thread.worker.on('error', () => undefined) // followed by 'exit'
    thread.worker.once('exit', (code) => {
      ended.abort()
      if (threads.get(key) !== thread) return // it was stopped
      threads.delete(key)
      report(key, { ready: [], failure: { code: 'THREAD_ENDED', message: `It ended with code ${code}.` } })
    })
    const becameReady = () => {
      thread.ready = [{ id, url: new URL(`unix:${socketPath}`) }]
      report(key, { ready: thread.ready })
    }
    untilReady(answers, { signal: ended.signal }).then(becameReady, () => undefined)
  }

  return {
    name: 'threads',
    async scale(key, replicas, { signal, remove = [] }) {
      signal.throwIfAborted()
      const thread = threads.get(key)
      if (thread && (replicas === 0 || thread.ready.some(({ id }) => remove.includes(id)))) {
        threads.delete(key)
        report(key, { ready: [] })
        void thread.worker.terminate()
      }
      if (replicas > 0 && !threads.has(key)) start(key)
    },
    async watch(onChange) {
      for (const [key, { ready }] of threads) onChange(key, { ready })
      watchers.add(onChange)
      return { [Symbol.asyncDispose]: async () => void watchers.delete(onChange) }
    },
  }
}
