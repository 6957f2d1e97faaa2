import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startCluster } from '../e2e/harness/cluster.ts'
import { startPlatform } from '../e2e/harness/platform.ts'
import { loadConfig } from '../platform/src/config.ts'
import { startMongod } from '../platform/src/mongod/mongod.ts'
import { row, section } from './lib.ts'
import { memoryOf, roleOf, treeOf } from './processes.ts'

const run = promisify(execFile)

/** MiB, without mongod. */
const GOALS = { embedded: 220, pod: 160 }
/** Processes for slow work end after a minute without any. */
const IDLE_LIMIT = 90_000
const MIB = 1024

/** The memory of an idle platform: after its start, without apps. Needs root to read the maps of its processes. */
export async function benchFootprint(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fp-footprint-'))
  // Uses a copy of the Node binary, as pages of this one are shared with the benchmark and other programs of this machine.
  const node = join(folder, 'node')
  await copyFile(process.execPath, node)
  try {
    await benchEmbedded(node)
    if (process.env['FP_E2E_K3S_IMAGE'] || process.env['FP_E2E_KUBECONFIG']) await benchPod(node, folder)
    else row('a platform pod', 'needs a cluster')
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function benchEmbedded(node: string): Promise<void> {
  section('Memory of the idle platform without apps (PSS, MiB)')
  await using platform = await startPlatform({ env: { NODE_BINARY: node } })
  const sizes = await idleSizes(platform.child.pid!)
  const mongod = sizes.get('mongod')
  sizes.delete('mongod')
  show(sizes, GOALS.embedded)
  if (mongod) row('besides: mongod', mib(mongod.pss))
}

/** The platform's processes as in a pod, which has no others. They run here against a cluster. */
async function benchPod(node: string, folder: string): Promise<void> {
  section('Memory of a platform pod without apps (PSS, MiB)')
  await using cluster = await startCluster()
  for (const namespace of ['fp-apps', 'fp-system'])
    await run('kubectl', ['--kubeconfig', cluster.kubeconfig, 'create', 'namespace', namespace])
  const mongod = await startMongod({ dir: join(folder, 'mongod'), ...loadConfig(process.env).mongod })
  try {
    await using platform = await startPlatform({
      env: {
        NODE_BINARY: node,
        FP_RUNTIME: 'kubernetes',
        KUBECONFIG: cluster.kubeconfig,
        MONGODB_URI: mongod.uri('fp'),
        FP_SECRET_KEY: randomBytes(32).toString('base64'),
        FP_RUNNER_IMAGE: 'fp/runner:none',
        FP_POOL_SIZE: '0',
      },
    })
    show(await idleSizes(platform.child.pid!), GOALS.pod)
  } finally {
    await mongod.stop()
  }
}

interface Size {
  processes: number
  /** KiB */
  pss: number
}

/** By role, once the processes for slow work have ended. */
async function idleSizes(root: number): Promise<Map<string, Size>> {
  const end = performance.now() + IDLE_LIMIT
  while (treeOf(root).some(({ pid }) => roleOf(pid)?.startsWith('offload'))) {
    if (performance.now() > end) throw new Error('The processes for slow work have not ended')
    await delay(500)
  }
  const sizes = new Map<string, Size>()
  for (const { pid } of treeOf(root)) {
    const [role, memory] = [roleOf(pid), memoryOf(pid)]
    if (!role || !memory) continue
    const { processes, pss } = sizes.get(role) ?? { processes: 0, pss: 0 }
    sizes.set(role, { processes: processes + 1, pss: pss + memory.pss })
  }
  return sizes
}

function show(sizes: ReadonlyMap<string, Size>, goal: number): void {
  for (const [role, { processes, pss }] of sizes)
    row(processes > 1 ? `${role}, ${processes} processes` : role, mib(pss))
  const sum = [...sizes.values()].reduce((total, { pss }) => total + pss, 0)
  row('all', mib(sum), `goal ${goal}`)
}

const mib = (kib: number): string => (kib / MIB).toFixed(1)
