import { Worker } from 'node:worker_threads'
import type { Parsed } from './parse.ts'

/** Reads and writes the JSON of large bodies on a thread of its own. Both reject when the thread ends. */
export interface JsonThread {
  /** Transfers the bytes to the thread: the caller must not use them afterwards. */
  parse(bytes: Uint8Array): Promise<Parsed>
  /** UTF-8. The value is copied, so it must hold few values, however long their texts. */
  stringify(value: unknown): Promise<Buffer>
  close(): Promise<void>
}

export type JsonJob =
  { readonly id: number; readonly bytes: Uint8Array } | { readonly id: number; readonly value: unknown }

export interface JsonResult {
  readonly id: number
  readonly output: Parsed | Uint8Array
}

interface Waiting {
  resolve(output: unknown): void
  reject(error: Error): void
}

/** The thread starts with the first job, and again after it ended. */
export function createJsonThread(options: { script?: URL } = {}): JsonThread {
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let last = 0

  function ended(of: Worker, error: Error): void {
    if (worker !== of) return
    worker = undefined
    const left = [...waiting.values()]
    waiting.clear()
    for (const { reject } of left) reject(error)
  }

  function start(): Worker {
    const started = new Worker(options.script ?? new URL('./worker.ts', import.meta.url), { execArgv: [] })
    started.on('message', ({ id, output }: JsonResult) => {
      waiting.get(id)?.resolve(output)
      waiting.delete(id)
    })
    started.on('error', (error) => ended(started, error as Error))
    started.on('exit', () => ended(started, new Error('the thread that reads and writes JSON has ended')))
    started.unref()
    return started
  }

  function run(job: { bytes: Uint8Array } | { value: unknown }, moved: ArrayBuffer[]): Promise<unknown> {
    const id = ++last
    worker ??= start()
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    waiting.set(id, { resolve, reject })
    worker.postMessage({ id, ...job } satisfies JsonJob, moved)
    return promise
  }

  return {
    parse: async (bytes) => (await run({ bytes }, transferable(bytes))) as Parsed,
    async stringify(value) {
      const bytes = (await run({ value }, [])) as Uint8Array
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    },
    async close() {
      await worker?.terminate()
    },
  }
}

/** Shared memory, such as Node's pool of small buffers, is copied and not transferred. */
function transferable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : []
}
