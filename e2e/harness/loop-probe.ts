/** Loaded into the platform's process (`NODE_OPTIONS=--import`): says over a unix socket how long its event loop was held up. */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const RESOLUTION = 1
const path = process.env['FP_E2E_LOOP_PROBE']
// Children of the platform inherit NODE_OPTIONS; only the front door itself is looked at.
if (path && isMainThread && /\bserver\.[jt]s$/.test(process.argv[1] ?? '')) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  histogram.enable()
  rmSync(path, { force: true })
  let before = process.threadCpuUsage()
  createServer((socket) => {
    const late = Math.max(0, histogram.max / 1e6 - RESOLUTION)
    const { user, system } = process.threadCpuUsage(before)
    // A busy machine makes a thread late that has done nothing: it was not held up for longer than it has worked.
    socket.end(String(Math.min(late, (user + system) / 1000)))
    histogram.reset()
    before = process.threadCpuUsage()
  })
    .listen(path)
    .unref()
}
