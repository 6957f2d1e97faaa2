import { spawn } from 'node:child_process'
import { inRoot, inState, NODE, ROOT } from './lib/paths.mjs'
import { setUp } from './lib/setup.mjs'
import { main } from './lib/steps.mjs'

const ARGUMENTS = [
  '--conditions=@fp/source',
  '--disable-warning=ExperimentalWarning',
  inRoot('platform/src/server.ts'),
]

await main(async () => {
  await setUp()
  process.chdir(ROOT)
  // Halves the time to load the sources at a second start.
  process.env.NODE_COMPILE_CACHE ??= inState('cache/node')
  // Where Node can (22.15 and newer: every start but the first) the platform takes this process' place.
  if (process.execve) process.execve(NODE, [NODE, ...ARGUMENTS], process.env)
  const platform = spawn(NODE, ARGUMENTS, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => platform.kill(signal))
  platform.once('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
})
