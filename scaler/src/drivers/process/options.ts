import type { Clock } from '../../clock.ts'
import type { Driver, TargetKey } from '../../types.ts'

/** Where one replica is to listen: at the one of the two that its spec names. */
export interface ProcessPlace {
  /** At 127.0.0.1. Free a moment ago, and not given to another replica; a socket cannot be taken by a stranger at all. */
  readonly port: number
  /** In a folder that only this user can enter. */
  readonly socketPath: string
  /** Counts the starts of this driver from 1, whatever the target: good for log files and the like. */
  readonly replica: number
}

/** How to start one replica. The command stays in the foreground and ends on SIGTERM, once it has answered what it has. */
export interface ProcessSpec {
  readonly command: string
  readonly args?: readonly string[]
  readonly cwd?: string
  /** The whole environment: nothing is inherited, not even PATH. Pass on what the command needs. */
  readonly env?: NodeJS.ProcessEnv
  readonly listen: 'port' | 'socket'
}

/** Something that a replica has printed. */
export interface ProcessOutput {
  readonly replica: number
  readonly stream: 'stdout' | 'stderr'
  /** As it came: not whole lines. */
  readonly text: string
}

/** Everything but the command has a default. */
export interface ProcessDriverOptions {
  /** The command of a target; undefined for a key that is none. Asked at each start. */
  command(key: TargetKey, place: ProcessPlace): ProcessSpec | undefined
  readonly readiness?: {
    /** Default `/`. */
    readonly path?: string
    /** The one status that counts. Default: any below 500. */
    readonly status?: number
  }
  /** ms from SIGTERM until SIGKILL. Default 30 s. */
  readonly stopTimeout?: number
  /** Must not throw. */
  readonly onOutput?: (key: TargetKey, output: ProcessOutput) => void
  readonly clock?: Clock
}

/** Disposing it stops every process it has started. */
export interface ProcessDriver extends Driver, AsyncDisposable {
  readonly name: 'process'
}
