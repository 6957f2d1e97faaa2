import { gzip } from 'node:zlib'
import { promisify } from 'node:util'
import type { AppSpec } from '../runtime.ts'

const compress = promisify(gzip)

/** What a pod is told to be; runner/README.md has the other side. */
interface Order {
  readonly mode: 'serve' | 'check'
  readonly files: AppSpec['files']
  readonly entrypoint: string
  readonly env: AppSpec['env']
  readonly limits: {
    readonly file_bytes: number
    readonly open_files: number
    readonly start_seconds: number
  }
}

const MIB = 1024 * 1024

/** As in the embedded home; memory and processes are the pod's to limit. */
const LIMITS: Order['limits'] = { file_bytes: 64 * MIB, open_files: 1024, start_seconds: 20 }

/** Kubernetes takes no larger Secret. */
const MAX_BYTES = MIB

/** Gzipped JSON: what a pod mounts or is sent. Holds secrets. */
export async function sealOrder(spec: AppSpec, mode: Order['mode']): Promise<Buffer> {
  const { files, entrypoint, env } = spec
  if (spec.assets.length > 0)
    throw new Error(
      `The app has ${spec.assets.length} assets, which apps on Kubernetes cannot have yet. Delete them, or serve them from elsewhere.`,
    )
  const order: Order = { mode, files, entrypoint, env, limits: LIMITS }
  const bytes = await compress(JSON.stringify(order))
  if (bytes.length <= MAX_BYTES) return bytes
  throw new Error(
    `The app's files and environment are ${bytes.length} bytes when compressed; Kubernetes keeps at most ${MAX_BYTES}. Remove some.`,
  )
}
