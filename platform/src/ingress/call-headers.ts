/** Headers for one connection (RFC 9110, 7.6.1), and headers that the HTTP client sets. */
const OF_ONE_CONNECTION = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The headers with lower-case names, without hop-by-hop headers and those that `connection` names. */
export function endToEnd(headers: Readonly<Record<string, string>>): Record<string, string> {
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const named =
    lower
      .find(([name]) => name === 'connection')?.[1]
      .toLowerCase()
      .split(',') ?? []
  const dropped = new Set(named.map((name) => name.trim()))
  return Object.fromEntries(lower.filter(([name]) => !OF_ONE_CONNECTION.has(name) && !dropped.has(name)))
}
