import type { ValidateOptions, Validation } from '@fp/sdk/python'
import { FpError } from '../errors.ts'
import { WorkQueue } from '../queues/work-queue.ts'
import { JobTimeout, WorkerEnded } from './worker.ts'
import { Workers } from './workers.ts'

/** Does slow work in other processes, so that it does not block the API's event loop. */
export interface Offload {
  hash(password: string): Promise<string>
  verify(hash: string, password: string): Promise<boolean>
  /**
   * Returns all findings in Python files, and the entrypoint. Users are served in turn. Rejects with FP_QUEUE_FULL, and with
   * FP_VALIDATION_FAILED if the check hangs or crashes.
   */
  validate(
    files: Readonly<Record<string, string>>,
    options: ValidateOptions & { userId: string; signal?: AbortSignal },
  ): Promise<Validation>
  /**
   * Makes sure that a process is ready to check code, and keeps it for a while. Call it when a deploy is likely: a cold process
   * needs half a second to load the WebAssembly. Cheap if a process is ready. Never rejects.
   */
  warmValidator(): Promise<void>
  /** The same for passwords, for which a cold process takes 50 ms. */
  warmPasswords(): Promise<void>
  close(): Promise<void>
}

/** Limit for a validator that hangs, in ms. Usually the SDK's `MAX_WORK`, which limits work and not time, ends it long before. */
const VALIDATION_TIMEOUT = 30_000
const PASSWORD_TIMEOUT = 10_000
const IDLE_TIMEOUT = 60_000
/** With two processes, slow files of one user leave the other process to the other users. */
const VALIDATORS = 2
const VALIDATIONS = {
  name: 'validations',
  work: 'checks of code',
  per: 'account',
  atOnce: VALIDATORS,
  atOncePerKey: 1,
  waiting: 200,
  waitingPerKey: 20,
} as const

/** Passwords have a process of their own, so that validations do not delay log-ins. The caller limits their number. */
export function createOffload(
  options: { script?: URL; validationTimeout?: number; idleTimeout?: number } = {},
): Offload {
  const { script, validationTimeout = VALIDATION_TIMEOUT, idleTimeout = IDLE_TIMEOUT } = options
  const passwords = new Workers({ processes: 1, timeout: PASSWORD_TIMEOUT, idleTimeout, script })
  const validators = new Workers({ processes: VALIDATORS, timeout: validationTimeout, idleTimeout, script })
  const validations = new WorkQueue(VALIDATIONS)
  return {
    hash: (password) => passwords.run('hash', { password }),
    verify: (hash, password) => passwords.run('verify', { hash, password }),
    async validate(files, { userId, signal, ...rest }) {
      const work = (): Promise<Validation> => validators.run('validate', { files, options: rest }, { signal })
      try {
        return await validations.run(userId, work, { signal })
      } catch (error) {
        throw unchecked(error, validationTimeout)
      }
    },
    warmValidator: () => validators.warm('warm', {}),
    warmPasswords: () => passwords.warm('hash', { password: 'warm' }),
    async close() {
      await Promise.all([passwords.close(), validators.close()])
    },
  }
}

/** Converts a timeout or crash of the check into an error for the user, as files that cannot be checked are not deployed. */
function unchecked(error: unknown, timeout: number): unknown {
  const invalid = (why: string): FpError =>
    new FpError(
      'FP_VALIDATION_FAILED',
      `${why}, so the check was given up. Make the files simpler or smaller.`,
      {
        cause: error,
      },
    )
  if (error instanceof JobTimeout) return invalid(`The files took longer than ${timeout / 1000} s to check`)
  if (error instanceof WorkerEnded) return invalid('Checking the files ended the process that does it, twice')
  return error
}
