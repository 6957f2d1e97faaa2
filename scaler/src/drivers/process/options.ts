import type { Clock } from '../../clock.ts'
import type { Driver, Endpoint, TargetKey } from '../../types.ts'

/** Where one replica must listen: at the port or at the socket, as `ProcessSpec.listen` says. */
export interface ProcessPlace {
  /**
   * A port of 127.0.0.1 that was free a moment ago and is not used for another replica. Another program may still take it; that
   * cannot happen with the socket.
   */
  readonly port: number
  /** The path of a unix socket, in a folder that only this user can enter. */
  readonly socketPath: string
  /** The number of this start, counted from 1 over all targets of the driver. Can be used in names of log files. */
  readonly replica: number
}

/** How to start one replica. The command must stay in the foreground, and on SIGTERM finish its open requests and end. */
export interface ProcessSpec {
  readonly command: string
  readonly args?: readonly string[]
  readonly cwd?: string
  /** The complete environment: nothing is inherited, not even PATH. */
  readonly env?: NodeJS.ProcessEnv
  readonly listen: 'port' | 'socket'
}

/** Output of a replica. */
export interface ProcessOutput {
  readonly replica: number
  readonly stream: 'stdout' | 'stderr'
  /** A part of the output as it was read, not necessarily whole lines. */
  readonly text: string
}

/** Options of the process driver. All except `command` have a default. */
export interface ProcessDriverOptions {
  /** Returns the command of a target, or undefined if the target does not exist. Called at each start of a replica. */
  command(key: TargetKey, place: ProcessPlace): ProcessSpec | undefined
  readonly readiness?: {
    /** The path of the probe. Default `/`. */
    readonly path?: string
    /** The status that means ready. Default: any status below 500. */
    readonly status?: number
  }
  /** ms from SIGTERM until SIGKILL. Default 30 s. */
  readonly stopTimeout?: number
  /** Called with the output of every replica. Must not throw. */
  readonly onOutput?: (key: TargetKey, output: ProcessOutput) => void
  readonly clock?: Clock
}

/** Disposing the driver stops all its processes. */
export interface ProcessDriver extends Driver, AsyncDisposable {
  readonly name: 'process'
  probe(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
}
