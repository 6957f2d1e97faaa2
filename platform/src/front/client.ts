import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TrustProxy } from '@fp/scaler/http'
import { LOOPBACK, network } from '../network.ts'

/** Whoever is behind an address, as far as it can be told. */
export interface Client {
  readonly key: string
  /**
   * Many people may be behind it: this machine's own address, which every local browser and program has, or a proxy's.
   * What bounds one stranger would lock them out together.
   */
  readonly shared: boolean
}

/** Who has opened a connection. */
export function peerOf(address: string, trusts: TrustProxy): Client {
  const key = network(address)
  return { key, shared: key === LOOPBACK || trusts(address) }
}

/** Of connections whose peer is no proxy: every request on them is the peer's, and looking at an address costs more than looking here. */
const strangers = new WeakMap<Socket, Client>()

/** Who has sent a request: behind trusted proxies the last address that they have not added for each other. */
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
