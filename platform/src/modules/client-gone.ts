import type { FastifyReply } from 'fastify'
import { FpError } from '../errors.ts'

/** Aborts when the client disconnects before it was answered, so that work for this client alone can stop. */
export function clientGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  const { raw } = reply
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new FpError('FP_BAD_REQUEST', 'The client closed the request.'))
  })
  return gone.signal
}
