import { createActivator, DEFAULT_POLICY } from '@fp/scaler'
import { createProcessDriver } from '@fp/scaler/process'

const script = `require('http').createServer((q, a) => a.end(q.url)).listen(process.argv[1], '127.0.0.1')`
const driver = createProcessDriver({
  command: (_key, { port }) => ({
    command: process.execPath,
    args: ['-e', script, `${port}`],
    listen: 'port',
  }),
})
// Each worker does two jobs at a time; it is stopped a minute after the last one.
const policy = () => ({ ...DEFAULT_POLICY, concurrency: 2, idleTimeout: 60_000 })
const activator = await createActivator({ driver, policy })

/** A job whose worker has ended is done again, so jobs must be idempotent. */
async function work(target: string, job: string, tries = 3): Promise<string> {
  const lease = await activator.acquire(target) // waits for the worker, and for a free place
  try {
    const response = await fetch(new URL(job, lease.endpoint.url), { method: 'POST' })
    return await response.text()
  } catch (error) {
    // Without the report, the next tries may go to the same worker.
    activator.report(target, lease.endpoint.id, 'reset')
    if (tries <= 1) throw error
  } finally {
    lease.release()
  }
  return work(target, job, tries - 1)
}

const jobs = Array.from({ length: 10 }, (_, n) => `/resize/${n}`)
console.log((await Promise.all(jobs.map((job) => work('images', job)))).join(' '))

await activator.close()
await driver[Symbol.asyncDispose]()
