import { K3sContainer, type StartedK3sContainer } from '@testcontainers/k3s'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The image of the node. Machines that cannot pull images set another one with the same interface. */
const NODE_IMAGE = process.env.FP_E2E_K3S_IMAGE ?? 'rancher/k3s:v1.35.4-k3s1'
/** The default of k3s. The route to it reaches the pods of one cluster at a time. */
const POD_NETWORK = '10.42.0.0/16'

/** A real Kubernetes for tests: a new one in a container, or the one that FP_E2E_KUBECONFIG names. */
export interface Cluster extends AsyncDisposable {
  /** A file. */
  readonly kubeconfig: string
  /** The address of this machine, as pods reach it. */
  readonly hostAddress: string
  /** The address of the node, for NodePorts. */
  readonly nodeAddress: string
  /** Loads images of this machine's Docker into the node. A cluster of FP_E2E_KUBECONFIG must have them already. */
  load(...images: string[]): Promise<void>
}

export async function startCluster(): Promise<Cluster> {
  const given = process.env.FP_E2E_KUBECONFIG
  if (given) return foreign(given)
  await using started = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'fp-cluster-'))
  started.defer(() => rm(folder, { recursive: true, force: true }))
  const node = await new K3sContainer(NODE_IMAGE).start()
  started.defer(async () => void (await node.stop()))
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(kubeconfig, node.getKubeConfig(), { mode: 0o600 })
  const { address, gateway } = await networkOf(node)
  await run('ip', ['route', 'replace', POD_NETWORK, 'via', address])
  started.defer(async () => void (await run('ip', ['route', 'del', POD_NETWORK]).catch(() => undefined)))
  const stack = started.move()
  return {
    kubeconfig,
    hostAddress: gateway,
    nodeAddress: address,
    load: (...images) => loadImages(node, images),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function networkOf(node: StartedK3sContainer): Promise<{ address: string; gateway: string }> {
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}{{end}}'
  const { stdout } = await run('docker', ['inspect', '-f', format, node.getId()])
  const [address = '', gateway = ''] = stdout.trim().split(' ')
  return { address, gateway }
}

async function loadImages(node: StartedK3sContainer, images: readonly string[]): Promise<void> {
  const save = spawn('docker', ['save', ...images], { stdio: ['ignore', 'pipe', 'inherit'] })
  const load = spawn('docker', ['exec', '-i', node.getId(), 'ctr', '-n', 'k8s.io', 'images', 'import', '-'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  save.stdout.pipe(load.stdin)
  const [[saved], [loaded]] = (await Promise.all([once(save, 'exit'), once(load, 'exit')])) as [
    number[],
    number[],
  ]
  if (saved !== 0 || loaded !== 0)
    throw new Error(`The images ${images.join(', ')} could not be given to the node.`)
}

async function foreign(kubeconfig: string): Promise<Cluster> {
  const server = /server: *(\S+)/.exec(await readFile(kubeconfig, 'utf8'))?.[1]
  if (!server) throw new Error(`FP_E2E_KUBECONFIG=${kubeconfig} names no server.`)
  return {
    kubeconfig,
    hostAddress: process.env.FP_E2E_HOST ?? '127.0.0.1',
    nodeAddress: process.env.FP_E2E_NODE ?? new URL(server).hostname,
    load: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
