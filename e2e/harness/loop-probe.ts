/** Loaded into the platform's process (`NODE_OPTIONS=--import`). Reports over a unix socket how long the event loop was blocked. */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const RESOLUTION = 1
const path = process.env['FP_E2E_LOOP_PROBE']
// Child processes inherit NODE_OPTIONS. Only the platform's own process is measured.
if (path && isMainThread && /\bserver\.[jt]s$/.test(process.argv[1] ?? '')) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  histogram.enable()
  rmSync(path, { force: true })
  let before = process.threadCpuUsage()
  createServer((socket) => {
    const late = Math.max(0, histogram.max / 1e6 - RESOLUTION)
    const { user, system } = process.threadCpuUsage(before)
    // On a busy machine an idle thread is late as well. A thread is not blocked for longer than it has worked.
    socket.end(String(Math.min(late, (user + system) / 1000)))
    histogram.reset()
    before = process.threadCpuUsage()
  })
    .listen(path)
    .unref()
}
