import type { Validation } from '@fp/sdk/python'
import type { Files } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import type { Answer, Question } from './validator.worker.ts'
import ValidatorWorker from './validator.worker.ts?worker'

/** Checks the files and finds what is served, without using the main thread. */
export interface Checker {
  /** Undefined when no check is possible at the moment. The last result then stays. */
  check(files: Files, entrypoint: string | null): Promise<Validation | undefined>
  close(): void
}

/**
 * Checks in a worker of this page: in milliseconds, offline, and by the platform's own rules. The worker does not know which
 * imports this platform allows beyond the default. So the platform is asked when an import is refused, and for every check
 * when the worker does not load (no WebAssembly).
 */
export function createChecker(): Checker {
  const local = createWorkerChecker()
  const remote = createApiChecker()
  return {
    async check(files, entrypoint) {
      const found = await local.check(files, entrypoint)
      if (found && !found.findings.some(({ rule }) => rule === 'import-not-allowed')) return found
      return (await remote.check(files, entrypoint)) ?? found
    },
    close() {
      local.close()
      remote.close()
    },
  }
}

function createWorkerChecker(): Checker {
  const worker = new ValidatorWorker()
  const asked = new Map<number, (validation: Validation | undefined) => void>()
  let next = 0
  let broken = false

  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    asked.get(data.id)?.(data.validation)
    asked.delete(data.id)
  }
  worker.onerror = () => {
    broken = true
    for (const answer of asked.values()) answer(undefined)
    asked.clear()
  }
  return {
    check(files, entrypoint) {
      if (broken) return Promise.resolve(undefined)
      return new Promise((resolve) => {
        const id = ++next
        asked.set(id, resolve)
        worker.postMessage({ id, files, entrypoint } satisfies Question)
      })
    },
    close: () => worker.terminate(),
  }
}

/** Asks the platform. A new question aborts the previous one. */
function createApiChecker(): Checker {
  let current = new AbortController()
  return {
    async check(files, entrypoint) {
      current.abort()
      current = new AbortController()
      try {
        const body = { files, ...(entrypoint === null ? {} : { entrypoint }) }
        return await client.validate(body, { signal: current.signal })
      } catch {
        // Offline, or over a limit. The failed save tells the person already.
        return undefined
      }
    },
    close: () => current.abort(),
  }
}
