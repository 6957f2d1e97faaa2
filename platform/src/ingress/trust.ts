import type { TrustProxy } from '@fp/scaler/http'
import { BlockList, isIPv6 } from 'node:net'

/** Whether a peer's address is among the given addresses and CIDR ranges. */
export function trusts(proxies: false | readonly string[]): TrustProxy {
  if (proxies === false) return () => false
  const list = new BlockList()
  for (const proxy of proxies) {
    const [address = '', prefix] = proxy.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address) => {
    // A dual-stack listener sees IPv4 peers as ::ffff:a.b.c.d.
    const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
    return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
  }
}
