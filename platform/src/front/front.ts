import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { hostOf, useTargetHost } from '@fp/scaler/http'
import type { FastifyServerFactory } from 'fastify'
import { createClientErrors, MAX_HEADER_LINES, MAX_PARSED_HEAD } from './client-error.ts'
import type { ConsoleCookies } from './cookie-bomb.ts'
import type { Bounds } from './bounds.ts'
import { takeNoMore } from './take-no-more.ts'
import { Chunks } from './chunks.ts'
import { refuseLater } from './refuse.ts'
import { refuse, refuseSocket } from './answers.ts'
import { listenOn } from '../listen.ts'
import { createRefusals } from './request-refusal.ts'

/** What stands behind the front: a Fastify instance made with `behindFront`. */
export interface Backend {
  readonly server: Server
}

export interface FrontLimits {
  /** For the headers of a request, in ms. */
  readonly headersTimeout: number
  /** For a whole request, its body included, in ms: bounds how long a slow upload may take. */
  readonly requestTimeout: number
  /** For the next request on a connection, in ms. Longer than that of usual proxies in front, so that they close first. */
  readonly keepAliveTimeout: number
}

export const FRONT_LIMITS: FrontLimits = {
  headersTimeout: 15_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 65_000,
}

/** Answered by the front itself, for whoever asks whether this process lives: an API that restarts does not matter then. */
const OWN_HEALTH = '/healthz/gate'

export interface FrontDeps {
  readonly api: Backend
  readonly ingress: Backend
  /** The app that a Host header names; undefined for the API and the console. */
  readonly appOf: (host: string | undefined) => string | undefined
  readonly bounds: Bounds
  /** Those that an oversized head may be cleared of. */
  readonly cookies: ConsoleCookies
  readonly limits?: Partial<FrontLimits>
}

export interface Front {
  /** Listens on all hosts with one port; resolves to it. `::1` and `::` are passed over on machines without IPv6. */
  listen(options: { port: number; hosts: readonly string[] }): Promise<number>
  /**
   * Until `quiet` settles goes on as before, but for telling each client to take another connection for its next request: so
   * that whoever sends requests hears that this one goes, and none is lost on a connection that was just being closed.
   * Then accepts nothing new, lets what is under way be answered for `grace` ms, and cuts it off.
   */
  close(options: { quiet?: Promise<unknown>; grace: number }): Promise<void>
}

/** Node's, which its types leave out: true by default where there is a listener. */
type UpgradingServer = Server & { shouldUpgradeCallback(req: IncomingMessage): boolean }

/** A server that never listens: the front hands it requests. */
export const behindFront: FastifyServerFactory = (handler) =>
  createServer((req, res) => void handler(req, res))

/**
 * One listener, two services: an app's host goes to the ingress, any other to the API and the console. So user traffic
 * never meets the API's hooks, and the API is never slowed by the ingress'.
 */
export function createFront(deps: FrontDeps): Front {
  const limits = { ...FRONT_LIMITS, ...deps.limits }
  const servers: Server[] = []
  const upgraded = new Set<Duplex>()
  const refusalOf = createRefusals({
    isAppHost: (host) => deps.appOf(host) !== undefined,
    cookies: deps.cookies,
  })
  const chunks = new Chunks()
  let closing = false

  const appOf = (req: IncomingMessage): string | undefined => deps.appOf(hostOf(req))
  const serverFor = (req: IncomingMessage): Server =>
    (appOf(req) === undefined ? deps.api : deps.ingress).server

  /** Whether there is room for a request; else it is refused. */
  function admit(req: IncomingMessage, answer: ServerResponse | Duplex): boolean {
    const admission = deps.bounds.admit(req, appOf(req))
    if (!admission) {
      takeNoMore(req.socket)
      req.socket.destroy()
      return false
    }
    answer.once('close', admission.end)
    if ('refusal' in admission) {
      takeNoMore(req.socket)
      refuseLater(answer, admission.refusal)
      return false
    }
    if ('setHeader' in answer)
      for (const [name, value] of Object.entries(admission.headers)) answer.setHeader(name, value)
    return true
  }

  function onRequest(req: IncomingMessage, res: ServerResponse): void {
    const refusal = refusalOf(req)
    if (refusal) return refuse(res, ...refusal)
    useTargetHost(req)
    // Before the limits: under a flood of requests kubelet must not end a gate that works.
    if (req.url === OWN_HEALTH && appOf(req) === undefined) return answerHealth(res)
    if (!admit(req, res)) return
    chunks.watch(req)
    pass(req, res)
  }

  function answerHealth(res: ServerResponse): void {
    if (closing) res.setHeader('connection', 'close')
    res
      .setHeader('content-type', 'application/json')
      .setHeader('cache-control', 'no-store')
      .end('{"status":"ok"}')
  }

  function pass(req: IncomingMessage, res: ServerResponse): void {
    if (closing) res.setHeader('connection', 'close')
    serverFor(req).emit('request', req, res)
  }

  function onCheckContinue(req: IncomingMessage, res: ServerResponse): void {
    if (refusalOf(req)) return onRequest(req, res)
    useTargetHost(req)
    if (!admit(req, res)) return
    chunks.watch(req)
    if (serverFor(req).emit('checkContinue', req, res)) return
    res.writeContinue()
    pass(req, res)
  }

  function onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    const refusal = refusalOf(req)
    if (refusal) return refuseSocket(socket, ...refusal)
    useTargetHost(req)
    if (admit(req, socket)) serverFor(req).emit('upgrade', req, socket, head)
  }

  function makeServer(): Server {
    const server = createServer({
      keepAliveTimeout: limits.keepAliveTimeout,
      headersTimeout: limits.headersTimeout,
      requestTimeout: limits.requestTimeout,
      connectionsCheckingInterval: 5_000,
      noDelay: true,
      maxHeaderSize: MAX_PARSED_HEAD,
      // What its service does not upgrade (h2c, a WebSocket to the API) is answered as a plain request.
      shouldUpgradeCallback: (req) => (serverFor(req) as UpgradingServer).shouldUpgradeCallback(req),
    })
    // One more than is allowed, to see that there are more.
    server.maxHeadersCount = MAX_HEADER_LINES + 1
    return server
      .on('connection', (socket: Socket) => deps.bounds.accept(socket) || socket.destroy())
      .on('request', onRequest)
      .on('checkContinue', onCheckContinue)
      .on('upgrade', onUpgrade)
      .on('connect', (_req, socket) => refuseSocket(socket, 405, 'This is no proxy to other places.'))
      .on('clientError', createClientErrors(deps.cookies))
  }

  return {
    async listen({ port, hosts }) {
      let chosen = port
      for (const host of hosts) {
        const server = makeServer()
        const bound = await listenOn(server, host, chosen)
        if (bound === undefined) continue
        servers.push(server)
        chosen = bound
      }
      if (servers.length === 0)
        throw new Error(`None of the addresses ${hosts.join(', ')} exists on this machine. Set FP_HOST.`)
      return chosen
    },

    async close({ quiet, grace }) {
      closing = true
      await quiet
      const closed = Promise.all(
        servers.map((server) => new Promise<void>((done) => server.close(() => done()))),
      )
      // A connection whose answer was under way would else be kept for its client's next request.
      const sweep = setInterval(() => servers.forEach((server) => server.closeIdleConnections()), 50)
      const cut = setTimeout(() => {
        for (const server of servers) server.closeAllConnections()
        for (const socket of upgraded) socket.destroy()
      }, grace)
      await Promise.all([
        closed,
        ...[...upgraded].map((socket) => new Promise<void>((done) => socket.once('close', () => done()))),
      ])
      clearInterval(sweep)
      clearTimeout(cut)
    },
  }
}
