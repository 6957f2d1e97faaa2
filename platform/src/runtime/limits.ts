/** Bytes. */
export const MIB = 1024 * 1024

/** What one app may use. */
export interface AppLimits {
  /** Bytes of memory of all its processes together. */
  readonly memoryBytes: number
  /** Processor cores that it may use at once. Null: as many as are free. */
  readonly cpus: number | null
  /** Processes and threads. In a cluster the node limits them (kubelet's `podPidsLimit`). */
  readonly processes: number
  /** Bytes of one file that it writes. A file in its storage may be as large as the storage. */
  readonly fileBytes: number
  /** Bytes in its /tmp. */
  readonly tmpBytes: number
  /** File descriptors of one process. */
  readonly openFiles: number
  /** Seconds until it must be ready. */
  readonly startSeconds: number
}

/**
 * The defaults of these limits for both runtimes. The runner gets them with each start. The admin of a cluster can set memory
 * and cores with FP_APP_MEMORY and FP_APP_CPU_LIMIT. Other limits of apps are elsewhere: the sizes of storage and database
 * and the number of database connections in the settings (config.ts), /dev/shm in the runner (root.py), the folder of a pod's
 * files and the time to stop in pod-spec.ts, and the time to stop of local apps in local/index.ts.
 */
export const DEFAULT_LIMITS: AppLimits = {
  memoryBytes: 512 * MIB,
  cpus: null,
  processes: 64,
  fileBytes: 64 * MIB,
  tmpBytes: 64 * MIB,
  openFiles: 1024,
  startSeconds: 20,
}

/** Seconds between the runner's own deadline for a start and the deadline of those that wait for it. */
const START_MARGIN = 40

/** Seconds after which a start counts as failed. The runner gives up earlier and reports the reason. */
export function startDeadline({ startSeconds }: Pick<AppLimits, 'startSeconds'>): number {
  return startSeconds + START_MARGIN
}

/** The limits in the runner's format (runner/README.md). */
export interface WireLimits {
  readonly memory_bytes: number
  readonly cpus: number | null
  readonly pids: number
  readonly file_bytes: number
  readonly tmp_bytes: number
  readonly open_files: number
  readonly start_seconds: number
}

export function toWire(limits: AppLimits): WireLimits {
  return {
    memory_bytes: limits.memoryBytes,
    cpus: limits.cpus,
    pids: limits.processes,
    file_bytes: limits.fileBytes,
    tmp_bytes: limits.tmpBytes,
    open_files: limits.openFiles,
    start_seconds: limits.startSeconds,
  }
}
