import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { ROOT } from './platform.ts'
import type { Front } from './user.ts'

const run = promisify(execFile)

/** The port of the node that the e2e overlay opens. */
const NODE_PORT = 30080

/** fp as an admin installs it: applied to a cluster and reached by its public address. */
export interface Installation extends Front {
  kubectl(...args: string[]): Promise<string>
  /** POST to the API server. */
  create(path: string, object: object): Promise<void>
  /** The items of a kind, as JSON. */
  objects<T>(kind: string, namespace: 'fp-apps' | 'fp-system', selector?: string): Promise<T[]>
  /** Pods, events and logs, to be printed after a failure. */
  dump(): Promise<string>
}

/** Applies the e2e overlay and waits until it is up. */
export async function install(): Promise<Installation> {
  const { kubeconfig, nodeAddress } = inject('cluster')

  async function kubectl(...args: string[]): Promise<string> {
    const { stdout } = await run('kubectl', ['--kubeconfig', kubeconfig, ...args], {
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout
  }

  async function dump(): Promise<string> {
    const parts = await Promise.all(
      [
        ['get', 'pods,deployments', '-A', '-o', 'wide'],
        ['get', 'events', '-A', '--sort-by=.lastTimestamp'],
        [
          '-n',
          'fp-system',
          'logs',
          '--all-containers',
          '--prefix',
          '--tail=200',
          '-l',
          'app.kubernetes.io/part-of=fp',
        ],
        ['-n', 'fp-apps', 'logs', '--prefix', '--tail=50', '-l', 'app.kubernetes.io/part-of=fp'],
      ].map(async (args) => {
        const text = await kubectl(...args).catch((error: Error) => error.message)
        return `--- kubectl ${args.join(' ')}\n${text}`
      }),
    )
    return parts.join('\n')
  }

  const installation: Installation = {
    url: `http://${nodeAddress}:${NODE_PORT}`,
    address: nodeAddress,
    port: NODE_PORT,
    appDomain: `apps.fp.test:${NODE_PORT}`,
    kubectl,
    async create(path, object) {
      const folder = await mkdtemp(join(tmpdir(), 'fp-object-'))
      try {
        await writeFile(join(folder, 'object.json'), JSON.stringify(object))
        await kubectl('create', '--raw', path, '-f', join(folder, 'object.json'))
      } finally {
        await rm(folder, { recursive: true })
      }
    },
    async objects<T>(kind: string, namespace: string, selector?: string) {
      const labels = selector ? ['-l', selector] : []
      const text = await kubectl('-n', namespace, 'get', kind, ...labels, '-o', 'json')
      return (JSON.parse(text) as { items: T[] }).items
    },
    dump,
  }
  try {
    await kubectl('apply', '-k', join(ROOT, 'deploy/overlays/e2e'))
    await kubectl('-n', 'fp-system', 'rollout', 'status', 'deployment/fp-platform', '--timeout=180s')
  } catch (error) {
    throw new Error(`fp did not come up: ${(error as Error).message}\n${await dump()}`, { cause: error })
  }
  return installation
}
