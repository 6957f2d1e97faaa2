import type { IncomingMessage, ServerResponse } from 'node:http'
import { endLate } from './api-places.ts'

/** How long a body may make no progress, in ms, and how often this is checked. */
const PATIENCE = 15_000
const CHECK = 5_000
/** Fewer bytes than this are no progress: else a client could send one byte at a time for as long as a request may take. */
const PROGRESS = 1_024

/**
 * Ends a request whose client stops sending its body: it would keep its place, and what was received of it, for as long as
 * a whole request may take. A client that waits because the body is not read here is not ended.
 */
export function watchBody(request: IncomingMessage, answer: ServerResponse): void {
  const { headers, socket } = request
  if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0)) return
  let seen = socket.bytesRead
  let silent = 0
  const check = setInterval(() => {
    if (request.complete) return clearInterval(check)
    silent += CHECK
    if (request.isPaused() || socket.bytesRead - seen >= PROGRESS) {
      seen = socket.bytesRead
      silent = 0
    } else if (silent >= PATIENCE) {
      clearInterval(check)
      endLate(request, answer)
    }
  }, CHECK)
  answer.once('close', () => clearInterval(check))
}
