import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './platform.ts'

const run = promisify(execFile)

/** The build arguments with the base images of a Dockerfile, if others replace the usual ones. */
const BASES = { PYTHON_IMAGE: process.env.FP_BASE_PYTHON, NODE_IMAGE: process.env.FP_BASE_NODE }

/** Dockerfile and folder of each image. */
const IMAGES = {
  runner: { dockerfile: 'runner/Dockerfile', context: 'runner' },
  platform: { dockerfile: 'platform/Dockerfile', context: '.' },
}

/** Builds an image of this tree and resolves to its name. Quick when nothing has changed. */
export async function buildImage(name: keyof typeof IMAGES): Promise<string> {
  const { dockerfile, context } = IMAGES[name]
  const image = `fp/${name}:e2e`
  const bases = Object.entries(BASES).flatMap(([arg, value]) =>
    value ? ['--build-arg', `${arg}=${value}`] : [],
  )
  // The package registries may be reached from the machine's own network only.
  const args = [
    'build',
    '--network',
    'host',
    ...bases,
    '-t',
    image,
    '-f',
    join(ROOT, dockerfile),
    join(ROOT, context),
  ]
  await run('docker', args, {
    maxBuffer: 64 * 1024 * 1024,
    // The classic builder, which every Docker has.
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
  })
  return image
}

/** Pulls an image. If another image replaces it because it cannot be pulled, tags that one with its name. */
export async function provideImage(name: string, standIn: string | undefined): Promise<string> {
  await run('docker', standIn ? ['tag', standIn, name] : ['pull', '-q', name])
  return name
}
