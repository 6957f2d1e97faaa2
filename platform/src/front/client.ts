import type { IncomingMessage } from 'node:http'
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

/** Who has sent a request: behind trusted proxies the last address that they have not added for each other. */
export function senderOf({ headers, socket }: IncomingMessage, trusts: TrustProxy): Client {
  let address = socket.remoteAddress ?? ''
  const told = trusts(address) ? String(headers['x-forwarded-for'] ?? '').split(',') : []
  for (let at = told.length - 1; at >= 0 && trusts(address); at--) {
    const before = told[at]!.trim()
    if (before === '') break
    address = before
  }
  return peerOf(address, trusts)
}
