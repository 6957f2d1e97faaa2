/**
 * `thrown` if it has the message of an error; otherwise an Error that says what `name` has thrown: functions of the embedder can throw
 * anything, also undefined.
 */
export function asError(thrown: unknown, name = 'A function'): Error {
  if (typeof (thrown as Error | null | undefined)?.message === 'string') return thrown as Error
  return new TypeError(`${name} has thrown ${shown(thrown)}, which is not an Error.`, { cause: thrown })
}

/** A value in an error message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
