import { asError } from './as-error.ts'
import { ScalerError, targetFailed } from './errors.ts'
import type { Observer } from './observer.ts'

/** Calls a function of the embedder. If it throws or rejects, then with an Error, whatever it has thrown: what `failed` makes of it. */
export function called<T>(
  name: string,
  call: () => T | Promise<T>,
  failed: (error: Error) => Error = (error) => error,
): T | Promise<T> {
  const fail = (error: unknown): never => {
    throw failed(asError(error, name))
  }
  try {
    const result = call()
    return result instanceof Promise ? result.catch(fail) : result
  } catch (error) {
    return fail(error)
  }
}

/** A function about groups of targets. If it fails, the wake that needs it fails with SCALER_GROUP_FAILED, or with its ScalerError. */
export function groupCalled<T extends string | number>(
  name: string,
  call: (argument: string) => T | Promise<T>,
): (argument: string) => T | Promise<T> {
  const code = 'SCALER_GROUP_FAILED'
  return (argument) =>
    called(
      name,
      () => call(argument),
      (error) =>
        error instanceof ScalerError
          ? error
          : targetFailed({ code, message: `${name}('${argument}') failed: ${error.message}` }),
    )
}

const HOOKS = ['waking', 'awake', 'asleep', 'failed', 'scaled', 'granted', 'refused', 'error'] as const
type Hook = (...args: unknown[]) => unknown

/**
 * An observer whose hooks never throw: a lease would be lost, or the process would end. What a hook throws, or its promise rejects
 * with, goes to the hook `error`, and if that fails, it becomes a warning of the process.
 */
export function guarded(observer: Observer): Observer {
  const failed = (name: (typeof HOOKS)[number], thrown: unknown): void => {
    const error = asError(thrown, `observer.${name}`)
    if (name === 'error') process.emitWarning(error)
    else tell('error', [error])
  }
  function tell(name: (typeof HOOKS)[number], args: unknown[]): void {
    try {
      const result = (observer as Partial<Record<string, Hook>>)[name]?.(...args)
      if (result instanceof Promise) result.catch((error: unknown) => failed(name, error))
    } catch (error) {
      failed(name, error)
    }
  }
  return {
    ...Object.fromEntries(HOOKS.map((name) => [name, (...args: unknown[]) => tell(name, args)])),
    // What a function of the embedder has thrown may be anything.
    error: (error, key) => tell('error', [asError(error, 'A function'), ...(key === undefined ? [] : [key])]),
  }
}
