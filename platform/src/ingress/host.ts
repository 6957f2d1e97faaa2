/**
 * The app that a Host header names: `app-<id>.<appDomain>`; port and case are ignored. Undefined for every other host, whose
 * requests go to the console and the API.
 */
export function appIdOf(host: string | undefined, appDomain: string): string | undefined {
  if (!host) return undefined
  const name = withoutPort(host).toLowerCase()
  const suffix = `.${withoutPort(appDomain).toLowerCase()}`
  if (!name.startsWith('app-') || !name.endsWith(suffix)) return undefined
  const id = name.slice('app-'.length, -suffix.length)
  return /^[0-9a-z]{1,40}$/.test(id) ? id : undefined
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '').replace(/\.$/, '')
}
