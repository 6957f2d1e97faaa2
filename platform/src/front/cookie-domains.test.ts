import { describe, expect, it } from 'vitest'
import { cookieDomains, cookieWarning } from './cookie-domains.ts'

describe('the domains for which a host may set cookies', () => {
  it.each([
    ['fp.example.org', ['fp.example.org', 'example.org']],
    ['Example.org', ['example.org']],
    ['fp.example.co.uk', ['fp.example.co.uk', 'example.co.uk']],
    ['localhost', []],
    ['app-x.localhost', ['app-x.localhost']],
    ['10.0.0.1', []],
    ['[::1]', []],
  ])('%s', (host, domains) => {
    expect(cookieDomains(host)).toEqual(domains)
  })
})

describe('a warning at start that apps can set cookies for the console', () => {
  it.each([
    ['http://example.org', 'example.org', 'example.org'],
    ['http://console.example.org:8080', 'apps.example.org:8080', 'example.org'],
    ['http://example.org', 'apps.example.org', 'example.org'],
    ['http://console.example.org', 'example.org', 'example.org'],
    ['http://fp.example.co.uk', 'apps.example.co.uk', 'example.co.uk'],
  ])('%s with apps under %s: they share %s', (publicUrl, appDomain, shared) => {
    expect(cookieWarning({ publicUrl, appDomain })).toContain(`share ${shared}, and there is no TLS`)
  })

  it.each([
    ['https://example.org', 'example.org', 'with TLS the cookie has a prefix that apps cannot set'],
    ['http://localhost:8080', 'localhost:8080', 'browsers refuse cookies for all of localhost'],
    ['http://example.org', 'example.net', 'nothing is shared'],
    ['http://fp.co.uk', 'apps.co.uk', 'only a public suffix is shared'],
    ['http://10.0.0.1:8080', '10.0.0.1.example.org', 'an address shares nothing'],
  ])('is not given for %s with apps under %s: %s', (publicUrl, appDomain) => {
    expect(cookieWarning({ publicUrl, appDomain })).toBeUndefined()
  })
})
