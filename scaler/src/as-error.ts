/** `thrown` if it is an Error; otherwise an Error that says what `name` has thrown: programs can throw anything, also undefined. */
export function asError(thrown: unknown, name: string): Error {
  if (thrown instanceof Error) return thrown
  return new Error(`${name} has thrown ${shown(thrown)}, which is not an Error.`, { cause: thrown })
}

/** A value in an error message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
