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

// `npm start` alone waits for the platform; whoever kills npm wants the platform to stop. Read before the set-up: npm may
// be gone after it. Where another program has started this script, its end means nothing.
const npm = process.env.npm_package_json === inRoot('package.json') ? process.ppid : undefined
const withParent = (pid) => (pid === undefined ? [SERVER] : [SERVER, `--parent=${pid}`])

await main(async () => {
  await setUp()
  process.chdir(ROOT)
  process.env.NODE_BINARY = NODE
  // Halves the time to load the platform at a second start.
  process.env.NODE_COMPILE_CACHE ??= inState('cache/node')
  // Where Node can (22.15 and newer: every start but the first) the platform takes this process' place.
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
