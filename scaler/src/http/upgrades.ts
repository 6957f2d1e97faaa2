import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { badRequest, flawOf } from './bad-request.ts'
import type { ScalerProxyOptions } from './options.ts'
import type { RequestHeaderRules } from './request-headers.ts'
import { useTargetHost } from './request-target.ts'
import { ProxySession, type SessionDeps } from './session.ts'
import { asksForWebSocket, tunnel, type TunnelOptions } from './tunnel.ts'
import { asleep, decide, type WakeContext } from './wake.ts'

export interface UpgradeContext
  extends SessionDeps, WakeContext, RequestHeaderRules, Pick<TunnelOptions, 'responseTimeout'> {
  readonly refuseUpgrade: ScalerProxyOptions['refuseUpgrade']
}

/** Takes WebSockets to their targets. What asks for another protocol is an ordinary request. */
export function tunnelUpgrades(fastify: FastifyInstance, context: UpgradeContext): void {
  const server: Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean } = fastify.server
  server.shouldUpgradeCallback = asksForWebSocket
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const session = new ProxySession(context, request)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => session.end())
    open(session, socket, head).catch((error: Error) => {
      session.end()
      if (socket.destroyed) return
      // Nobody else looks after it: a client that is refused and stays would keep it for ever.
      socket.resume().once('finish', () => socket.destroy())
      context.refuseUpgrade(error, request, socket)
    })
  })

  async function open(session: ProxySession, socket: Socket, head: Buffer): Promise<void> {
    // A server before this one may have decided by itself what it takes for an upgrade.
    const flaw = asksForWebSocket(session.request)
      ? flawOf(session.request)
      : 'Only WebSockets are tunnelled.'
    if (flaw !== undefined) throw badRequest(flaw)
    useTargetHost(session.request)
    await session.locate()
    const decision = decide(context, session)
    if (decision.action === 'reject') throw asleep(decision.retryAfter)
    const { responseTimeout, wakeHeader } = context
    await tunnel({ session, socket, head, rules: context, responseTimeout, wakeHeader })
  }
}
