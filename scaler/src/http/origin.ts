import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** Whether the X-Forwarded-* headers of the peer with this IP address are trusted. */
export type TrustProxy = (address: string) => boolean

/** Returns a function for a list of IP addresses and CIDRs. Throws a RangeError that names the entry that is wrong. */
export function trustOf(trusted: TrustProxy | readonly string[] = []): TrustProxy {
  if (typeof trusted === 'function') return trusted
  if (!Array.isArray(trusted))
    throw new TypeError(
      `trustProxy must be a list of IP addresses and CIDRs, such as ['10.0.0.0/8'], or a function, but is ${JSON.stringify(trusted)}.`,
    )
  if (trusted.length === 0) return () => false
  const list = new BlockList()
  for (const entry of trusted as readonly string[]) {
    const [address = '', bits, ...rest] = String(entry).split('/')
    const version = isIP(address)
    const most = version === 4 ? 32 : 128
    const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN
    if (version === 0 || rest.length > 0 || !(prefix <= most))
      throw new RangeError(
        `trustProxy: ${JSON.stringify(entry)} is not an IP address or CIDR, such as 10.0.0.0/8.`,
      )
    list.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
  }
  return (address) => {
    const peer = plain(address)
    const version = isIP(peer)
    return version !== 0 && list.check(peer, version === 4 ? 'ipv4' : 'ipv6')
  }
}

/** The origin of a request. */
export interface Origin {
  /** Whether the peer is a trusted proxy, so that its forwarding headers are kept. */
  readonly trusted: boolean
  readonly scheme: string
  readonly forwardedFor: string
  readonly forwardedHost: string
  /** `<address> <port> <scheme> <host> <port of the host> <HTTP version>` of the client, for app servers (see `clientPrefix`). */
  readonly line: string
}

/** Determines the origin from the connection, and from the forwarding headers of a trusted proxy. */
export function originOf(request: IncomingMessage, trust: TrustProxy): Origin {
  const { headers, socket, httpVersion } = request
  const peer = socket.remoteAddress ?? ''
  const trusted = trust(peer)
  const host = headers.host ?? ''
  const encrypted = (socket as Partial<TLSSocket>).encrypted === true
  const told = trusted ? headers : {}
  const before = told['x-forwarded-for']
  const scheme = String(told['x-forwarded-proto'] || (encrypted ? 'https' : 'http'))
  const client = before ? clientOf(String(before), trust) : undefined
  const [address, port] = client ?? [plain(peer) || '-', String(socket.remotePort ?? 0)]
  const [name, hostPort] = splitHost(host)
  // A trusted proxy may send any scheme, but it must not break the format of the line.
  const word = scheme === 'https' || scheme === 'wss' ? 'https' : 'http'
  const standard = word === 'https' ? '443' : '80'
  const serverPort = hostPort || digits(told['x-forwarded-port']) || standard
  return {
    trusted,
    scheme,
    forwardedFor: before ? `${String(before)}, ${peer}` : peer,
    forwardedHost: String(told['x-forwarded-host'] || host),
    line: `${address} ${port} ${word} ${name || '-'} ${serverPort} ${httpVersion}`,
  }
}

/**
 * The client according to a trusted proxy: from the right, the first address that is not a trusted proxy. Entries further to
 * the left were sent by that client and cannot be trusted.
 */
function clientOf(forwardedFor: string, trust: TrustProxy): [address: string, port: string] | undefined {
  const entries = forwardedFor.split(',')
  let found: [string, string] | undefined
  for (let i = entries.length - 1; i >= 0; i--) {
    const entry = parse(entries[i]!.trim())
    if (!entry) break
    found = entry
    if (!trust(entry[0])) break
  }
  return found
}

/** Parses an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`. */
function parse(entry: string): [address: string, port: string] | undefined {
  if (isIP(entry) !== 0) return [plain(entry), '0']
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(entry)
  const address = match?.[1] ?? match?.[2] ?? ''
  return isIP(address) === 0 ? undefined : [plain(address), match![3] ?? '0']
}

/** Converts ::ffff:a.b.c.d, which a dual-stack listener reports for IPv4 peers, to a.b.c.d. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

function splitHost(host: string): [name: string, port: string] {
  const colon = host.lastIndexOf(':')
  if (colon < 0 || host.endsWith(']')) return [host.replace(/^\[|\]$/g, ''), '']
  return [host.slice(0, colon).replace(/^\[|\]$/g, ''), host.slice(colon + 1)]
}

function digits(value: string | string[] | undefined): string {
  const text = String(value ?? '')
  return /^\d{1,5}$/.test(text) ? text : ''
}
