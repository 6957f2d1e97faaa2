import { existsSync } from 'node:fs'
import { inRoot, inState, NODE } from './paths.mjs'
import { run } from './run.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

const STAMP = inState('console.stamp')

/** The work that builds console/build from the present sources. Undefined when the build is up to date. */
export function consoleBuild() {
  const hash = hashOf(['console', 'sdk/src', 'package-lock.json'])
  if (isStamped(STAMP, hash) && existsSync(inRoot('console/build/index.html'))) return undefined
  return async () => {
    await run(NODE, [inRoot('node_modules/vite/bin/vite.js'), 'build'], { cwd: inRoot('console') })
    stamp(STAMP, hash)
  }
}
