import type { FastifyInstance } from 'fastify'
import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { asksForWebSocket } from './tunnel.ts'

const CONNECT_REFUSED = 'HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'
const UPGRADE_REFUSED = 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'

/** The connection of an upgrade request. */
export interface Upgrade {
  readonly socket: Socket
  /** Bytes of the client that arrived with the request. */
  readonly head: Buffer
}

/** The open connections of each server that has a proxy. */
const connections = new WeakMap<Server, Set<Socket>>()
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
 * Adds the listeners that all proxies of a server share, and returns the set of its open connections. Upgrade requests for
 * WebSockets go through Fastify's router like any other request; CONNECT is answered with 405.
 */
export function prepareServer(fastify: FastifyInstance): ReadonlySet<Socket> {
  const server: UpgradingServer = fastify.server
  const known = connections.get(server)
  if (known) return known
  const open = new Set<Socket>()
  connections.set(server, open)
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  server.on('connect', (_request, socket) => socket.end(CONNECT_REFUSED))
  server.on('checkContinue', (request, response) => void server.emit('request', request, response))
  const given = server.shouldUpgradeCallback
  const hasOthers = (): boolean => server.listenerCount('upgrade') > 1
  // Node's own callback is true as soon as there is a listener.
  server.shouldUpgradeCallback = (request) =>
    asksForWebSocket(request) || (hasOthers() && given?.call(server, request) === true)
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
  return open
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
