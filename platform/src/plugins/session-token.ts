import { createHash } from 'node:crypto'

/** Whether this text can be the token of a session. */
export function isSessionToken(text: string): boolean {
  return /^fp_[\w-]{43}$/.test(text)
}

/** A fast hash is enough for a token with 256 random bits, and finds the session by index. The id does not grant access. */
export function sessionIdOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

/** Undefined without the header; empty if it does not contain a bearer token. */
export function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  // With another scheme the cookie must not be used instead: a client that sends a credential means that one.
  return /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? ''
}

/** Every value of this cookie in a Cookie header. A regular expression, as a header may hold 30,000 pairs. */
export function cookieValues(header: string, name: string): string[] {
  const values = header.matchAll(new RegExp(`(?:^|;)[ \\t]*${name}=([^;]*)`, 'g'))
  return [...new Set([...values].map(([, value]) => value!.trim()))]
}
