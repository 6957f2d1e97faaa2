/** ms that one step of a contract test may take, unless the options say otherwise. */
export const STEP_TIMEOUT = 30_000

/** Resolves like the promise. Rejects after `limit` ms, with an error that names the step and says what `seen` says. */
export async function within<T>(
  limit: number,
  step: string,
  promise: T | PromiseLike<T>,
  seen: () => string = () => '',
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const fail = (): void =>
      reject(new Error(`The contract waited ${limit / 1000} s for this step: ${step}.${seen()}`))
    timer = setTimeout(fail, limit)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
