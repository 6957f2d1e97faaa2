import { gzip } from 'node:zlib'
import { promisify } from 'node:util'
import type { AppSpec, SpecAsset } from '../runtime.ts'

const compress = promisify(gzip)

/** What a pod is told to be; runner/README.md has the other side. */
interface StartRequest {
  readonly mode: 'serve' | 'check'
  readonly files: AppSpec['files']
  /** Their contents follow the start request. */
  readonly assets: readonly Pick<SpecAsset, 'path' | 'bytes' | 'sha256'>[]
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
const LIMITS: StartRequest['limits'] = { file_bytes: 64 * MIB, open_files: 1024, start_seconds: 20 }
/** A file of an app with storage may be as large as its volume, which is what limits it. */
const STORAGE_FILE_BYTES = 1024 * 1024 * MIB

/** Kubernetes takes no larger Secret. */
const MAX_BYTES = MIB

export interface PackedStartRequest {
  /** Gzipped JSON: what a pod mounts or is sent. Holds secrets. */
  readonly body: Buffer
  /** What the pod must be sent besides: a pod that mounts its start request has none. */
  readonly assets: readonly SpecAsset[]
}

export async function packStartRequest(
  spec: AppSpec,
  mode: StartRequest['mode'],
): Promise<PackedStartRequest> {
  const { files, entrypoint, env } = spec
  const assets = spec.assets.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }))
  const limits = spec.storage ? { ...LIMITS, file_bytes: STORAGE_FILE_BYTES } : LIMITS
  const request: StartRequest = { mode, files, assets, entrypoint, env, limits }
  const body = await compress(JSON.stringify(request))
  if (body.length <= MAX_BYTES) return { body, assets: spec.assets }
  throw new Error(
    `The app's files and environment are ${body.length} bytes when compressed; Kubernetes keeps at most ${MAX_BYTES}. Remove some.`,
  )
}
