import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { ScalerError } from '../errors.ts'
import { badRequest, flawOf } from './bad-request.ts'
import { requestTimedOut } from './limits.ts'
import type { ScalerProxyOptions } from './options.ts'
import type { RequestHeaderRules } from './request-headers.ts'
import { useTargetHost } from './request-target.ts'
import { ProxySession, type SessionDeps } from './session.ts'
import { asksForWebSocket, tunnel } from './tunnel.ts'
import { asleep, decide, type WakeContext } from './wake.ts'

export interface UpgradeContext extends SessionDeps, WakeContext, RequestHeaderRules {
  readonly refuseUpgrade: NonNullable<ScalerProxyOptions['refuseUpgrade']>
}

/** Tunnels WebSockets to their targets. Upgrade requests for other protocols are handled as ordinary requests. */
export function tunnelUpgrades(fastify: FastifyInstance, context: UpgradeContext): void {
  const server: Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean } = fastify.server
  server.shouldUpgradeCallback = asksForWebSocket
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const session = new ProxySession(context, request)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      if (session.meter?.status === 0) session.meter.failed('CLIENT_GONE')
      session.end()
      session.tell()
    })
    open(session, socket, head).catch((error: Error) => {
      session.end()
      if (socket.destroyed) return
      session.meter?.failed(error)
      if (session.meter && error instanceof ScalerError) session.meter.status = error.statusCode
      // No other code closes the socket: a refused client that does not disconnect would keep it open forever.
      socket.resume().once('finish', () => socket.destroy())
      context.refuseUpgrade(error, request, socket)
    })
  })

  async function open(session: ProxySession, socket: Socket, head: Buffer): Promise<void> {
    // The embedder's server may emit 'upgrade' for other requests as well.
    const flaw = asksForWebSocket(session.request)
      ? flawOf(session.request)
      : 'Only WebSockets are tunnelled.'
    if (flaw !== undefined) throw badRequest(flaw)
    useTargetHost(session.request)
    await session.locate()
    const decision = decide(context, session)
    if (decision.action === 'reject') throw asleep(decision.retryAfter)
    const { requestTimeout } = session.limits
    const late = (): void => session.end(requestTimedOut(requestTimeout))
    const unlimit = requestTimeout > 0 ? context.clock.schedule(requestTimeout, late) : undefined
    const { wakeHeader } = context
    await tunnel({ session, socket, head, rules: context, wakeHeader }).finally(unlimit)
  }
}
