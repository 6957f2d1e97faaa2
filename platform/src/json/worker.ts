import { parentPort } from 'node:worker_threads'
import { parseBody } from './parse.ts'
import type { JsonJob, JsonResult } from './thread.ts'

/** The thread of `thread.ts`. It turns bytes into a value or a reason, or a value into bytes. */
parentPort!.on('message', (job: JsonJob) => {
  const { id } = job
  const send = (result: JsonResult, ...moved: ArrayBuffer[]): void => parentPort!.postMessage(result, moved)
  if ('bytes' in job) return send({ id, output: parseBody(job.bytes) })
  const bytes = new TextEncoder().encode(JSON.stringify(job.value))
  send({ id, output: bytes }, bytes.buffer)
})
