import type { FastifyReply } from 'fastify'
import { asError } from '../as-error.ts'
import { ScalerError } from '../errors.ts'
import { requestTimedOut } from './limits.ts'
import type { RequestHeaderRules } from './request-headers.ts'
import type { Upgrade } from './server.ts'
import { ProxySession, type SessionDeps } from './session.ts'
import { tunnel } from './tunnel.ts'
import { asleep, decide, type WakeContext } from './wake.ts'
import type { OpenExchanges } from './open-exchanges.ts'

export interface UpgradeContext extends SessionDeps, WakeContext, RequestHeaderRules {
  readonly open: OpenExchanges
}

/** Tunnels a WebSocket to its target. An error before the response head goes to the error handler of the Fastify instance. */
export function passUpgrade(context: UpgradeContext, reply: FastifyReply, { socket, head }: Upgrade): void {
  const { wakeHeader } = context
  const session = new ProxySession(context, reply.request.raw)
  context.open.add(socket)
  socket.once('close', () => {
    const { meter } = session
    // Answered by Fastify.
    if (meter?.status === 0 && reply.raw.writableFinished) {
      meter.status = reply.raw.statusCode
      meter.bytesOut = Number(reply.getHeader('content-length') ?? 0)
    } else if (meter?.status === 0) meter.failed('CLIENT_GONE')
    session.end()
    session.tell()
  })
  open().catch((reason: unknown) => {
    const error = asError(reason)
    session.end()
    if (socket.destroyed) return
    session.meter?.failed(error)
    if (error instanceof ScalerError) reply.headers(error.headers)
    if (session.key !== undefined) reply.header(wakeHeader, isAsleep(error) ? 'rejected' : session.mark)
    reply.send(error)
  })

  async function open(): Promise<void> {
    await session.locate()
    const decision = decide(context, session)
    if (decision.action === 'reject') throw asleep(decision.retryAfter)
    const { requestTimeout } = session.limits
    const late = (): void => session.end(requestTimedOut(requestTimeout))
    const unlimit = requestTimeout > 0 ? context.clock.schedule(requestTimeout, late) : undefined
    await tunnel({ session, socket, head, rules: context, wakeHeader, reply }).finally(unlimit)
  }
}

/** Whether a wake policy has rejected the request. */
export function isAsleep(error: Error): boolean {
  return error instanceof ScalerError && error.code === 'SCALER_ASLEEP'
}
