import type { FastifyInstance } from 'fastify'
import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { asksForWebSocket } from './tunnel.ts'

const CONNECT_REFUSED = 'HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'
const UPGRADE_REFUSED = 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'

const BINDINGS = 'fastify.serverBindings'

/** The connection of an upgrade request. */
export interface Upgrade {
  readonly socket: Socket
  /** Bytes of the client that arrived with the request. */
  readonly head: Buffer
}

/** The servers of one Fastify instance and their open connections. */
export interface Serving {
  readonly servers: Server[]
  readonly connections: Set<Socket>
}

/** Of each main server that has a proxy. */
const serving = new WeakMap<Server, Serving>()
const upgrades = new WeakMap<IncomingMessage, Upgrade>()

/** The connection of a request for a WebSocket; undefined for every other request. */
export function upgradeOf(request: IncomingMessage): Upgrade | undefined {
  return upgrades.get(request)
}

/** `shouldUpgradeCallback` exists since Node 24.9. */
type UpgradingServer = Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }

/** `_httpMessage` is the response that is being written. */
type Answering = Socket & { readonly _httpMessage?: ServerResponse | null }

/**
 * Adds the listeners that all proxies of a Fastify instance share. Upgrade requests for WebSockets go through Fastify's router
 * like any other request; CONNECT is answered with 405.
 */
export function prepareServer(fastify: FastifyInstance): Serving {
  const { server } = fastify
  const known = serving.get(server)
  if (known) return known
  const shared: Serving = { servers: [], connections: new Set() }
  serving.set(server, shared)
  const hasOthers = (): boolean => server.listenerCount('upgrade') > 1
  prepare(server, shared, hasOthers)
  fastify.addHook('onListen', (done) => {
    for (const further of furtherServers(fastify)) prepare(further, shared, hasOthers)
    done()
  })
  server.prependListener('upgrade', (request, socket: Socket, head) => {
    socket.on('error', () => socket.destroy())
    // The embedder's server may emit 'upgrade' for other protocols as well, and have its own listener for them.
    if (!asksForWebSocket(request)) {
      if (!hasOthers()) socket.end(UPGRADE_REFUSED)
      return
    }
    upgrades.set(request, { socket, head })
    // Another plugin, such as @fastify/websocket, may route the request in its own listener.
    process.nextTick(route, fastify, request, socket)
  })
  return shared
}

function prepare(server: UpgradingServer, { servers, connections }: Serving, hasOthers: () => boolean): void {
  servers.push(server)
  server.on('connection', (socket: Socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  server.on('connect', (_request, socket) => socket.end(CONNECT_REFUSED))
  server.on('checkContinue', (request, response) => void server.emit('request', request, response))
  const given = server.shouldUpgradeCallback
  // Node's own callback is true as soon as there is a listener.
  server.shouldUpgradeCallback = (request) =>
    asksForWebSocket(request) || (hasOthers() && given?.call(server, request) === true)
}

/**
 * The servers that Fastify has made for the other addresses of `localhost`. They pass on upgrades to the main server and nothing
 * else, and Fastify does not wait for their connections when it closes. It keeps them under a symbol that is not exported.
 */
function furtherServers(fastify: FastifyInstance): readonly Server[] {
  for (let at: object | null = fastify; at; at = Object.getPrototypeOf(at) as object | null) {
    const key = Object.getOwnPropertySymbols(at).find(({ description }) => description === BINDINGS)
    if (key) return (at as Record<symbol, readonly Server[]>)[key]!
  }
  return []
}

/** Calls Fastify's router with a response that is written to the socket of the upgrade request and ends the connection. */
function route(fastify: FastifyInstance, request: IncomingMessage, socket: Answering): void {
  const before = socket._httpMessage
  if (socket.destroyed || before?.req === request) return
  // The response to an earlier request on the connection is written first.
  if (before) return void before.once('close', () => route(fastify, request, socket))
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  socket.on('drain', () => response.emit('drain'))
  // No other code closes the socket: a refused client that does not disconnect would keep it open forever.
  response.once('finish', () => socket.resume().destroySoon())
  fastify.routing(request, response)
}
