import { aFunction, aString, atLeast, check, checkObject, delay, optional, type Rule } from '../../checks.ts'
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
  readonly args?: readonly string[] | undefined
  readonly cwd?: string | undefined
  /** The complete environment: nothing is inherited, not even PATH. */
  readonly env?: NodeJS.ProcessEnv | undefined
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
  /**
   * Returns the command of a target, or undefined if the target does not exist (PROCESS_UNKNOWN_TARGET). Called at each start of a
   * replica. Must be synchronous.
   */
  command(key: TargetKey, place: ProcessPlace): ProcessSpec | undefined
  readonly readiness?:
    | {
        /** The path of the probe. Default `/`. */
        readonly path?: string | undefined
        /** The status that means ready. Default: any status below 500. */
        readonly status?: number | undefined
      }
    | undefined
  /** ms from SIGTERM until SIGKILL. Default 30 s. */
  readonly stopTimeout?: number | undefined
  /** Called with the output of every replica. If it throws, the error becomes a warning of this process. */
  readonly onOutput?: ((key: TargetKey, output: ProcessOutput) => void) | undefined
  readonly clock?: Clock | undefined
}

/** Disposing the driver stops all its processes. */
export interface ProcessDriver extends Driver, AsyncDisposable {
  readonly name: 'process'
  probe(key: TargetKey, endpoint: Endpoint, signal: AbortSignal): Promise<boolean>
}

const aPath: Rule = {
  holds: (value) => typeof value === 'string' && value.startsWith('/'),
  text: 'a path that begins with /',
}
const aPlace: Rule = { holds: (value) => value === 'port' || value === 'socket', text: "'port' or 'socket'" }

/** Throws a RangeError or a TypeError that names the option that is wrong. */
export function checkOptions(options: ProcessDriverOptions): void {
  checkObject('The argument of createProcessDriver', options, 'an object with a `command`')
  const rules = { command: aFunction, stopTimeout: optional(delay(0)), onOutput: optional(aFunction) }
  check('', options, rules)
  if (options.readiness === undefined) return
  checkObject('readiness', options.readiness)
  check('readiness.', options.readiness, { path: optional(aPath), status: optional(atLeast(100)) })
}

/** Throws a TypeError if `command` has returned something else. */
export function checkSpec(spec: object): void {
  if (spec instanceof Promise)
    throw new TypeError('`command` must be synchronous, but has returned a promise.')
  check('What `command` returns: ', spec, { command: aString, listen: aPlace })
}
