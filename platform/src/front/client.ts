import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TrustProxy } from '@fp/scaler/http'
import { LOOPBACK, network } from '../network.ts'

/** The client behind an address, as far as it is known. */
export interface Client {
  readonly key: string
  /**
   * Whether many people may share the address: this machine's own, which every local browser and program has, or a proxy's.
   * Limits for a single client would lock all of them out together.
   */
  readonly shared: boolean
}

/** The client that has opened a connection. */
export function peerOf(address: string, trusts: TrustProxy): Client {
  const key = network(address)
  return { key, shared: key === LOOPBACK || trusts(address) }
}

/** Caches the clients of connections that do not come from a proxy: all requests on them are the peer's. */
const strangers = new WeakMap<Socket, Client>()

/** The client that has sent a request: behind trusted proxies the last address that is not one of theirs. */
export function senderOf({ headers, socket }: IncomingMessage, trusts: TrustProxy): Client {
  const known = strangers.get(socket)
  if (known) return known
  let address = socket.remoteAddress ?? ''
  if (!trusts(address)) {
    const client = peerOf(address, trusts)
    if (address !== '') strangers.set(socket, client)
    return client
  }
  const told = String(headers['x-forwarded-for'] ?? '').split(',')
  for (let at = told.length - 1; at >= 0 && trusts(address); at--) {
    const before = told[at]!.trim()
    if (before === '') break
    address = before
  }
  return peerOf(address, trusts)
}
