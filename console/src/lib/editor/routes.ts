export interface FoundRoute {
  method: string
  path: string
}

const DECORATOR =
  /^[ \t]*@\w+\.(get|post|put|patch|delete|head|options)\(\s*(?:path\s*=\s*)?["'](\/[^"']*)["']/gim
const FASTHTML = /^[ \t]*@rt\(\s*["'](\/[^"']*)["']/gim

/** The routes that the code seems to have: suggestions for the try-it panel. Prefixes are not resolved. */
export function findRoutes(files: Readonly<Record<string, string>>): FoundRoute[] {
  const found = new Map<string, FoundRoute>()
  const add = (method: string, path: string): void => void found.set(`${method} ${path}`, { method, path })
  for (const [file, text] of Object.entries(files)) {
    if (!file.endsWith('.py')) continue
    for (const [, method = '', path = ''] of text.matchAll(DECORATOR)) add(method.toUpperCase(), path)
    for (const [, path = ''] of text.matchAll(FASTHTML)) add('GET', path)
  }
  return [...found.values()].slice(0, 60)
}

/** The path of what was typed. An address of the app is cut to its path. Throws for an address of another host. */
export function pathWithin(text: string, appUrl: string): string {
  const typed = text.trim()
  const { host } = new URL(appUrl)
  const address = typed.startsWith(`${host}/`) || typed === host ? `http://${typed}` : typed
  if (!/^https?:\/\//i.test(address)) return typed.startsWith('/') ? typed : `/${typed}`
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.host !== host)
    throw new Error(`Requests go to this app alone: type a path, or an address that begins with ${appUrl}.`)
  return url.pathname + url.search
}
