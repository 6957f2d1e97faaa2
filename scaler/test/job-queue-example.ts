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

async function work(target: string, job: string): Promise<string> {
  const lease = await activator.acquire(target) // waits for the worker, and for a free place
  try {
    const response = await fetch(new URL(job, lease.endpoint.url), { method: 'POST' })
    return await response.text()
  } finally {
    lease.release()
  }
}

const jobs = Array.from({ length: 10 }, (_, n) => `/resize/${n}`)
console.log((await Promise.all(jobs.map((job) => work('images', job)))).join(' '))

await activator.close()
await driver[Symbol.asyncDispose]()
