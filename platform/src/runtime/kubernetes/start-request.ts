import { gzip } from 'node:zlib'
import { promisify } from 'node:util'
import { DEFAULT_LIMITS, MIB, startDeadline, toWire, type AppLimits, type WireLimits } from '../limits.ts'
import { requireNoArtifacts, type AppSpec, type SpecAsset } from '../runtime.ts'

const compress = promisify(gzip)

/** Names to a pod the app that it runs. runner/README.md describes the other side. */
interface StartRequest {
  readonly mode: 'serve' | 'check'
  readonly files: AppSpec['files']
  /** Their contents follow the start request. */
  readonly assets: readonly Pick<SpecAsset, 'path' | 'bytes' | 'sha256'>[]
  readonly entrypoint: string
  readonly env: AppSpec['env']
  /** The limits that the runner sets in the container. The pod's manifest has the others. */
  readonly limits: Pick<WireLimits, 'file_bytes' | 'open_files' | 'start_seconds'>
}

/** A file of an app with storage may be as large as its volume, which is what limits it. */
const STORAGE_FILE_BYTES = 1024 * 1024 * MIB

/** Kubernetes accepts no larger Secret. */
const MAX_BYTES = MIB

export interface PackedStartRequest {
  /** Gzipped JSON that a pod mounts or is sent. Contains secrets. */
  readonly body: Buffer
  /** The assets that must be sent after it. A pod that mounts its start request has none. */
  readonly assets: readonly SpecAsset[]
  /** ms after which the start has failed. The runner gives up earlier and says why. */
  readonly timeout: number
}

export async function packStartRequest(
  spec: AppSpec,
  mode: StartRequest['mode'],
): Promise<PackedStartRequest> {
  requireNoArtifacts(spec)
  const limits = { ...DEFAULT_LIMITS, ...spec.limits }
  const { files, entrypoint, env } = spec
  const assets = spec.assets.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }))
  const request: StartRequest = {
    mode,
    files,
    assets,
    entrypoint,
    env,
    limits: sentLimits(spec.storage, limits),
  }
  const body = await compress(JSON.stringify(request))
  if (body.length <= MAX_BYTES) return { body, assets: spec.assets, timeout: 1_000 * startDeadline(limits) }
  throw new Error(
    `The app's files and environment are ${body.length} bytes when compressed; Kubernetes keeps at most ${MAX_BYTES}. Remove some.`,
  )
}

function sentLimits(storage: boolean, limits: AppLimits): StartRequest['limits'] {
  const { file_bytes, open_files, start_seconds } = toWire(limits)
  return { file_bytes: storage ? STORAGE_FILE_BYTES : file_bytes, open_files, start_seconds }
}
