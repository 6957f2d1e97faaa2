import { isIP } from 'node:net'

/** Below these, strangers register names, so browsers refuse cookies for them. Not all there are: only what is common. */
const PUBLIC_SUFFIX = /^(?:[^.]+|(?:ac|co|com|edu|gov|net|org)\.[a-z]{2})$/

/** The domains for which a page of this host may set cookies (RFC 6265, section 5.3), the host itself first. */
export function cookieDomains(host: string): string[] {
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) return []
  const labels = host.toLowerCase().split('.')
  return labels.map((_, index) => labels.slice(index).join('.')).filter((name) => !PUBLIC_SUFFIX.test(name))
}

/** The domain for which apps can set cookies that the console gets too, if there is one. */
export function sharedDomain(consoleHost: string, appDomain: string): string | undefined {
  const apps = cookieDomains(`app.${appDomain.replace(/:\d+$/, '')}`)
  return cookieDomains(consoleHost).find((domain) => apps.includes(domain))
}

/** What to tell the person who starts the platform of cookies that apps can set for the console; undefined: nothing. */
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
