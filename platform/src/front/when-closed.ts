import type { ServerResponse } from 'node:http'

/** Calls back once the answer has gone or its client has, which may have been while something else was waited for. */
export function whenClosed(response: ServerResponse, end: () => void): void {
  if (response.closed || response.destroyed) end()
  else response.once('close', end)
}
