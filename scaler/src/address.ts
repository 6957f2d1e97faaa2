/** The socket path of a `unix:` URL; undefined for other URLs. */
export function socketPathOf(url: URL): string | undefined {
  return url.protocol === 'unix:' ? decodeURIComponent(url.pathname) : undefined
}

/** Where to connect to for the URL of an endpoint, in the form of `net.connect`. */
export function addressOf(
  url: URL,
): { readonly path: string } | { readonly host: string; readonly port: number } {
  const path = socketPathOf(url)
  if (path !== undefined) return { path }
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 80) }
}
