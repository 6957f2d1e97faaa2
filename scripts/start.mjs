import { spawn } from 'node:child_process'
import path from 'node:path'
import { inRoot, inState, NODE, ROOT } from './lib/paths.mjs'
import { BUILD } from './lib/platform-build.mjs'
import { setUp } from './lib/setup.mjs'
import { main } from './lib/steps.mjs'

/** ms between two checks whether npm still runs. */
const PARENT_INTERVAL = 500

const LAUNCHER = inRoot('platform/node.sh')
const SERVER = path.join(BUILD, 'server.js')

// Only `npm start` waits for the platform: when npm is killed, the platform must stop. Read before the set-up, as npm may
// have ended after it. If another program has started this script, that program's end does not stop the platform.
const npm = process.env.npm_package_json === inRoot('package.json') ? process.ppid : undefined
const withParent = (pid) => (pid === undefined ? [SERVER] : [SERVER, `--parent=${pid}`])

await main(async () => {
  await setUp()
  process.chdir(ROOT)
  process.env.NODE_BINARY = NODE
  // Halves the time to load the platform from the second start on.
  process.env.NODE_COMPILE_CACHE ??= inState('cache/node')
  // If Node supports it (22.15 and newer: every start except the first), the platform replaces this process.
  if (process.execve) process.execve(LAUNCHER, [LAUNCHER, ...withParent(npm)], process.env)
  const platform = spawn(LAUNCHER, withParent(process.pid), { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => platform.kill(signal))
  const watch = setInterval(() => {
    if (npm === undefined || process.ppid === npm) return
    clearInterval(watch)
    platform.kill('SIGTERM')
  }, PARENT_INTERVAL)
  platform.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
})
