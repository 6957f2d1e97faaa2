import { existsSync } from 'node:fs'
import path from 'node:path'
import { inRoot, inState, NODE } from './paths.mjs'
import { run } from './run.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

/** The built platform: what `npm start` and the image run. */
export const BUILD = inState('build')
const STAMP = inState('build.stamp')
const SCRIPT = 'scripts/build-platform.mjs'

/** The work that builds the platform from the present sources. Undefined when the build is up to date. */
export function platformBuild() {
  const hash = hashOf(['platform/src', 'scaler/src', 'sdk/src', 'package-lock.json', SCRIPT])
  if (isStamped(STAMP, hash) && existsSync(path.join(BUILD, 'server.js'))) return undefined
  return async () => {
    await run(NODE, [inRoot(SCRIPT)])
    stamp(STAMP, hash)
  }
}
