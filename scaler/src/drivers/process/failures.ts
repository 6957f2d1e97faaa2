import { existsSync } from 'node:fs'
import type { Failure, TargetKey } from '../../types.ts'
import type { ProcessSpec } from './options.ts'
import type { Exit } from './group.ts'

/** The codes of the failures that this driver reports. */
export type ProcessFailureCode =
  'PROCESS_EXITED' | 'PROCESS_NOT_FOUND' | 'PROCESS_NOT_STARTED' | 'PROCESS_UNKNOWN_TARGET'

/** The failure of a process that has ended by itself. `ready`: whether it had become ready before. */
export function exited({ exitCode, signal }: Exit, ready: boolean, stderr: readonly string[]): Failure {
  const how = signal ? `was ended by ${signal}` : `exited with code ${exitCode}`
  const when = ready ? 'while it was running' : 'before it answered a request'
  const last = stderr.at(-1)
  return failure('PROCESS_EXITED', `The process ${how} ${when}${last ? `: ${last}` : '.'}`, {
    exitCode,
    signal,
    stderr,
  })
}

/** The failure of a command that the system could not start. */
export function notStarted(error: NodeJS.ErrnoException, spec?: ProcessSpec): Failure {
  if (!spec || error.code !== 'ENOENT') {
    return failure('PROCESS_NOT_STARTED', `The process could not be started: ${error.message}`)
  }
  // The system reports the same error for a missing working directory.
  if (spec.cwd !== undefined && !existsSync(spec.cwd)) {
    return failure(
      'PROCESS_NOT_FOUND',
      `The folder ${spec.cwd} does not exist. Create it, or correct \`cwd\`.`,
    )
  }
  return failure(
    'PROCESS_NOT_FOUND',
    `There is no command ${spec.command}. Install it, use its absolute path, or set PATH in \`env\`: ` +
      'PATH is not inherited.',
  )
}

export function unknownTarget(key: TargetKey): Failure {
  return failure('PROCESS_UNKNOWN_TARGET', `The driver's \`command\` returned nothing for the target ${key}.`)
}

function failure(code: ProcessFailureCode, message: string, details?: unknown): Failure {
  return { code, message, ...(details === undefined ? {} : { details }) }
}
