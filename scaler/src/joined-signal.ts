/** A signal that aborts when one of several does, until it is disposed of. */
export interface JoinedSignal extends Disposable {
  readonly signal: AbortSignal
}

/**
 * Like `AbortSignal.any`, but leaves nothing at the given signals once it is disposed of: some of them live as long as the
 * activator.
 */
export function joinSignals(signals: readonly (AbortSignal | undefined)[]): JoinedSignal {
  const joined = new AbortController()
  const given = signals.filter((signal) => signal !== undefined)
  function abort(this: AbortSignal): void {
    joined.abort(this.reason)
  }
  for (const signal of given) {
    if (signal.aborted) joined.abort(signal.reason)
    else signal.addEventListener('abort', abort)
  }
  return {
    signal: joined.signal,
    [Symbol.dispose]() {
      for (const signal of given) signal.removeEventListener('abort', abort)
    },
  }
}
