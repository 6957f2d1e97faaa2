import { request as httpRequest, STATUS_CODES, type IncomingMessage, type RequestOptions } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Lease } from '../types.ts'
import { requestHeaders, serverTiming, type TrustProxy } from './headers.ts'
import { socketPathOf } from './pools.ts'
import { neverConnected, type ProxySession } from './session.ts'

export interface TunnelOptions {
  readonly session: ProxySession
  readonly socket: Duplex
  /** Bytes of the client that came with the upgrade request. */
  readonly head: Buffer
  readonly trustProxy: TrustProxy
}

/**
 * Takes an upgrade request (WebSocket) to the endpoint of a lease and then joins the two sockets byte for byte, so that
 * frames, pings and close codes pass as they are. The lease lives as long as the sockets. Rejects only before a byte was
 * written to the client.
 */
export async function tunnel(options: TunnelOptions): Promise<void> {
  const { session, socket } = options
  let lease = await session.acquire()
  for (;;) {
    try {
      await open(lease, options)
      return
    } catch (error) {
      if (!neverConnected(error as Error) || socket.destroyed) throw error
      lease = await session.again(error as Error)
    }
  }
}

function open(lease: Lease, { session, socket, head, trustProxy }: TunnelOptions): Promise<void> {
  const { request } = session
  const headers = requestHeaders({ ...request.headers }, request, trustProxy)
  headers.connection = 'Upgrade'
  headers.upgrade = request.headers.upgrade
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({
      ...address(lease),
      method: 'GET',
      path: request.url,
      headers: headers as never,
    })
    const abort = (): void => void upstream.destroy()
    session.signal.addEventListener('abort', abort, { once: true })
    upstream.once('error', reject)
    upstream.once('upgrade', (response, peer, peerHead) => {
      session.signal.removeEventListener('abort', abort)
      socket.write(responseHead(response, lease))
      if (peerHead.length > 0) socket.write(peerHead)
      if (head.length > 0) peer.write(head)
      join(socket, peer)
      resolve()
    })
    upstream.once('response', (response) => {
      // The app said no: its answer goes to the client as it is, and the connection ends with it.
      response.headers.connection = 'close'
      socket.write(responseHead(response, lease))
      response.once('end', () => socket.end())
      response.once('error', () => socket.destroy())
      response.pipe(socket, { end: false })
      resolve()
    })
    upstream.end()
  })
}

function address(lease: Lease): RequestOptions {
  const socketPath = socketPathOf(lease.endpoint.url)
  return socketPath ? { socketPath } : { host: lease.endpoint.url.hostname, port: lease.endpoint.url.port }
}

/** Either end closing closes the other, after what it had still to say. */
function join(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to)
    from.once('error', () => to.destroy())
    from.once('close', () => (to as Socket).destroySoon())
  }
}

function responseHead(response: IncomingMessage, lease: Lease): string {
  const lines = [
    `HTTP/1.1 ${response.statusCode} ${response.statusMessage || STATUS_CODES[response.statusCode!]}`,
  ]
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    const name = response.rawHeaders[i]!
    // Node has taken the chunks apart already; the end of this connection is the end of the body.
    if (name.toLowerCase() === 'transfer-encoding') continue
    lines.push(`${name}: ${response.rawHeaders[i + 1]}`)
  }
  if (response.statusCode !== 101) lines.push('Connection: close')
  const timing = serverTiming(lease)
  if (timing) lines.push(`Server-Timing: ${timing}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
