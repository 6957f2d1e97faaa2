import { parentPort } from 'node:worker_threads'
import { parseBody } from './parse.ts'
import type { JsonJob, JsonResult } from './thread.ts'

/** The thread of `thread.ts`: bytes in, a value or a reason out; or a value in, bytes out. */
parentPort!.on('message', (job: JsonJob) => {
  const { id } = job
  const send = (result: JsonResult, ...moved: ArrayBuffer[]): void => parentPort!.postMessage(result, moved)
  if ('bytes' in job) return send({ id, output: parseBody(job.bytes) })
  const bytes = new TextEncoder().encode(JSON.stringify(job.value))
  send({ id, output: bytes }, bytes.buffer)
})
