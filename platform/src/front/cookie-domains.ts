import { isIP } from 'node:net'

/** Public suffixes, below which anyone can register names, so browsers refuse cookies for them. Only the common ones. */
const PUBLIC_SUFFIX = /^(?:[^.]+|(?:ac|co|com|edu|gov|net|org)\.[a-z]{2})$/

/** The domains for which a page of this host may set cookies (RFC 6265, section 5.3), the host itself first. */
export function cookieDomains(host: string): string[] {
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) return []
  const labels = host.toLowerCase().split('.')
  return labels.map((_, index) => labels.slice(index).join('.')).filter((name) => !PUBLIC_SUFFIX.test(name))
}

/** The domain for which apps can set cookies that the console gets too; undefined if there is none. */
export function sharedDomain(consoleHost: string, appDomain: string): string | undefined {
  const apps = cookieDomains(`app.${appDomain.replace(/:\d+$/, '')}`)
  return cookieDomains(consoleHost).find((domain) => apps.includes(domain))
}

/** A warning for the person who starts the platform if apps can set cookies for the console; undefined: they cannot. */
export function cookieWarning(settings: { publicUrl: string; appDomain: string }): string | undefined {
  const { protocol, hostname } = new URL(settings.publicUrl)
  if (protocol === 'https:') return undefined
  const shared = sharedDomain(hostname, settings.appDomain)
  if (shared === undefined) return undefined
  return (
    `Apps (APP_DOMAIN ${settings.appDomain}) and the console (PUBLIC_URL ${settings.publicUrl}) share ${shared}, and there is no TLS: ` +
    `apps can set cookies that browsers send to the console. Its sessions are told apart from those, but an app can push a user's ` +
    `session cookie out of the browser. Give the console an https address, or the apps a domain of their own.`
  )
}
