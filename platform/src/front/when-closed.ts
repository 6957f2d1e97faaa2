import type { ServerResponse } from 'node:http'

/** Calls `end` once the answer was sent or the client has disconnected; at once if that has happened already. */
export function whenClosed(response: ServerResponse, end: () => void): void {
  if (response.closed || response.destroyed) end()
  else response.once('close', end)
}
