import type { Finding, ValidateOptions } from '@fp/sdk/python'
import { FpError } from '../errors.ts'
import { JobTimeout, Lane } from './lane.ts'

/** Slow work, done in other processes so that the front door's event loop stays free. */
export interface Offload {
  hash(password: string): Promise<string>
  verify(hash: string, password: string): Promise<boolean>
  /** All findings in Python files. Rejects with FP_VALIDATION_FAILED where checking them takes longer than 10 s. */
  validate(
    files: Readonly<Record<string, string>>,
    options?: ValidateOptions & { signal?: AbortSignal },
  ): Promise<Finding[]>
  /** Loads what the first validation would wait for. Never rejects. */
  warmUp(): Promise<void>
  close(): Promise<void>
}

const VALIDATION_TIMEOUT = 10_000
const PASSWORD_TIMEOUT = 10_000

/** Two processes, so that files that hang the validator hold up no one's log-in. */
export function createOffload(options: { script?: URL; validationTimeout?: number } = {}): Offload {
  const script = options.script && { script: options.script }
  const validationTimeout = options.validationTimeout ?? VALIDATION_TIMEOUT
  const passwords = new Lane({ concurrency: 1, depth: 200, timeout: PASSWORD_TIMEOUT, ...script })
  const validator = new Lane({ concurrency: 1, depth: 50, timeout: validationTimeout, ...script })
  return {
    hash: (password) => passwords.run('hash', { password }),
    verify: (hash, password) => passwords.run('verify', { hash, password }),
    async validate(files, { signal, ...rest } = {}) {
      try {
        return await validator.run('validate', { files, options: rest }, { signal })
      } catch (error) {
        if (!(error instanceof JobTimeout)) throw error
        throw new FpError(
          'FP_VALIDATION_FAILED',
          `The files took longer than ${validationTimeout / 1000} s to check, so the check was given up. Make them simpler or smaller.`,
          { cause: error },
        )
      }
    },
    async warmUp() {
      // Both at once: the first log-in should not wait for its process either.
      await Promise.allSettled([validator.run('warm', {}), passwords.run('hash', { password: 'warm' })])
    },
    async close() {
      await Promise.all([passwords.close(), validator.close()])
    },
  }
}
