import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { hostOf, useTargetHost } from '@fp/scaler/http'
import type { FastifyServerFactory } from 'fastify'
import { createClientErrors, MAX_HEADER_LINES, MAX_PARSED_HEAD } from './client-error.ts'
import type { ConsoleCookies } from './cookie-bomb.ts'
import type { Bounds } from './bounds.ts'
import { watchBody } from './body-progress.ts'
import { takeNoMore } from './take-no-more.ts'
import { Chunks } from './chunks.ts'
import { refuseLater } from './refuse.ts'
import { refuse, refuseSocket } from './answers.ts'
import { listenOn } from '../listen.ts'
import { createRefusals } from './request-refusal.ts'

/** A service behind the front door, e.g. a Fastify instance made with `behindFront`. */
export interface Backend {
  readonly server: Server
}

export interface FrontLimits {
  /** How long the headers of a request may take, in ms. */
  readonly headersTimeout: number
  /** How long a whole request with its body may take, in ms. Limits slow uploads. */
  readonly requestTimeout: number
  /** How long a connection may wait for its next request, in ms. Longer than in common proxies, so that these close first. */
  readonly keepAliveTimeout: number
}

export const FRONT_LIMITS: FrontLimits = {
  headersTimeout: 15_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 65_000,
}

/** A liveness probe of this process. The front door answers it itself, so that a restarting API does not matter. */
const OWN_HEALTH = '/healthz/gate'

export interface FrontDeps {
  readonly api: Backend
  readonly ingress: Backend
  /** The app that a Host header names; undefined for the API and the console. */
  readonly appOf: (host: string | undefined) => string | undefined
  readonly bounds: Bounds
  /** Which cookies may be deleted when a head is too large. */
  readonly cookies: ConsoleCookies
  readonly limits?: Partial<FrontLimits>
}

export interface Front {
  /** Listens on all hosts with one port; resolves to the port. IPv6 addresses are skipped on machines without IPv6. */
  listen(options: { port: number; hosts: readonly string[] }): Promise<number>
  /**
   * Serves until `quiet` settles, but makes each client use another connection for its next request. So clients and load
   * balancers notice that this process stops, and no request is lost on a connection that is just being closed. Then accepts
   * no more connections, gives running requests `grace` ms, and closes their connections.
   */
  close(options: { quiet?: Promise<unknown>; grace: number }): Promise<void>
}

/** A method of Node's server that is missing in its types. By default it returns true if there is a listener. */
type UpgradingServer = Server & { shouldUpgradeCallback(req: IncomingMessage): boolean }

/** A server that never listens. The front door passes requests to it. */
export const behindFront: FastifyServerFactory = (handler) =>
  createServer((req, res) => void handler(req, res))

/**
 * One listener for two services: requests to an app's host go to the ingress, all others to the API and the console. So
 * traffic of apps never runs the API's hooks, and the API's requests never run those of the ingress.
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

  /** Whether there is room for a request. If not, refuses the request. */
  function admit(req: IncomingMessage, answer: ServerResponse | Duplex): boolean {
    const admission = deps.bounds.admit(req, appOf(req), answer)
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
    // Before the limits: under a flood of requests kubelet must not kill a gate that works.
    if (req.url === OWN_HEALTH && appOf(req) === undefined) return answerHealth(req, res)
    if (!admit(req, res)) return
    prepare(req, res)
    serverFor(req).emit('request', req, res)
  }

  function prepare(req: IncomingMessage, res: ServerResponse): void {
    closeIfLast(req, res)
    chunks.watch(req)
    if (appOf(req) === undefined) watchBody(req, res)
  }

  function answerHealth(req: IncomingMessage, res: ServerResponse): void {
    closeIfLast(req, res)
    res
      .setHeader('content-type', 'application/json')
      .setHeader('cache-control', 'no-store')
      .end('{"status":"ok"}')
  }

  /** Closes the connection after this answer if no other request can follow. */
  function closeIfLast(req: IncomingMessage, res: ServerResponse): void {
    // Node's parser drops what follows an upgrade in the same packet, even if the upgrade is not made.
    const isUpgrade = req.headers.upgrade !== undefined
    if (isUpgrade) takeNoMore(req.socket)
    if (closing || isUpgrade) res.setHeader('connection', 'close')
  }

  function onCheckContinue(req: IncomingMessage, res: ServerResponse): void {
    if (refusalOf(req)) return onRequest(req, res)
    useTargetHost(req)
    if (!admit(req, res)) return
    prepare(req, res)
    if (serverFor(req).emit('checkContinue', req, res)) return
    res.writeContinue()
    serverFor(req).emit('request', req, res)
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
      // An upgrade that the service does not support (h2c, a WebSocket to the API) is answered as a plain request.
      shouldUpgradeCallback: (req) => (serverFor(req) as UpgradingServer).shouldUpgradeCallback(req),
    })
    // One more than is allowed, to detect that there are too many.
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
      // Otherwise a connection whose answer has just ended would stay open for its client's next request.
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
