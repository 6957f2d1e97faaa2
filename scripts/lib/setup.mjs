import { consoleBuild } from './console.mjs'
import { mongod } from './mongod.mjs'
import { nftables } from './nftables.mjs'
import { nodePackages } from './node-packages.mjs'
import { inState } from './paths.mjs'
import { platformBuild } from './platform-build.mjs'
import { pythonEnvironment } from './python.mjs'
import { SetupError } from './run.mjs'
import { step } from './steps.mjs'

const OLDEST_NODE = 20

/** Installs and builds what is missing or out of date. npm and Python packages are installed at the same time. */
export async function setUp() {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    throw new SetupError(`Node ${OLDEST_NODE} or newer is needed to begin with; this is ${process.version}.`)
  }
  let pipIsThere
  const whenPython = new Promise((resolve) => (pipIsThere = resolve))
  const python = step(
    'Python packages',
    pythonEnvironment('venv', 'runner/requirements.lock', { whenMade: () => pipIsThere() }),
  )
  const packages = step('npm packages', nodePackages())
  // One after the other, since only one apt can run at a time.
  const database = mongod({ python: inState('venv/bin/python'), whenPython, whenPackages: packages })
    .then((work) => step('MongoDB', work))
    .then(async () => step('nftables', await nftables()))
  const built = packages
    .then(() => step('Platform', platformBuild()))
    .then(() => step('Console', consoleBuild()))
  await Promise.all([python, database, built])
}
