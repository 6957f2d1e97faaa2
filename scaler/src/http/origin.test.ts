import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { originOf, trustOf } from './origin.ts'

interface Given {
  readonly peer?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly encrypted?: boolean
}

/** The line of a request from this peer; 10.x addresses are trusted proxies. */
function line({ peer = '192.0.2.7', headers = {}, encrypted = false }: Given): string {
  const request = {
    headers: { host: 'app.example', ...headers },
    httpVersion: '1.1',
    socket: { remoteAddress: peer, remotePort: 50123, encrypted },
  } as unknown as IncomingMessage
  return originOf(request, (address) => address.startsWith('10.')).line
}

test.each<[string, Given, string]>([
  ['a client', {}, '192.0.2.7 50123 http app.example 80 1.1'],
  ['one with TLS', { encrypted: true }, '192.0.2.7 50123 https app.example 443 1.1'],
  ['IPv4 on a dual-stack socket', { peer: '::ffff:192.0.2.7' }, '192.0.2.7 50123 http app.example 80 1.1'],
  ['IPv6', { peer: '2001:db8::7' }, '2001:db8::7 50123 http app.example 80 1.1'],
  [
    'a port in the Host',
    { headers: { host: 'app.example:8080' } },
    '192.0.2.7 50123 http app.example 8080 1.1',
  ],
  ['an IPv6 Host', { headers: { host: '[::1]:8080' } }, '192.0.2.7 50123 http ::1 8080 1.1'],
  ['an IPv6 Host without a port', { headers: { host: '[::1]' } }, '192.0.2.7 50123 http ::1 80 1.1'],
  ['a Host with a colon and no port', { headers: { host: 'a:' } }, '192.0.2.7 50123 http a 80 1.1'],
])('%s', (_name, given, expected) => expect(line(given)).toBe(expected))

const claims = {
  'x-forwarded-for': '6.6.6.6',
  'x-forwarded-proto': 'https',
  'x-forwarded-port': '1',
  'x-forwarded-host': 'evil',
}

test('forwarding headers of an untrusted client are not trusted', () => {
  expect(line({ headers: claims })).toBe('192.0.2.7 50123 http app.example 80 1.1')
})

test.each<[string, string, string]>([
  ['names one client', '203.0.113.9', '203.0.113.9 0'],
  ['names its port too', '203.0.113.9:4711', '203.0.113.9 4711'],
  ['names an IPv6 client', '[2001:db8::9]:4711', '2001:db8::9 4711'],
  ['adds to what the client claims', '6.6.6.6, 203.0.113.9', '203.0.113.9 0'],
  ['was reached through another of ours', '6.6.6.6, 203.0.113.9, 10.0.0.2', '203.0.113.9 0'],
  ['names only proxies of ours', '10.0.0.3, 10.0.0.2', '10.0.0.3 0'],
  ['passes on nonsense', '203.0.113.9, x y', '10.0.0.1 50123'],
  ['passes on nothing', '', '10.0.0.1 50123'],
  ['passes on nonsense after an address', 'unknown, 203.0.113.9', '203.0.113.9 0'],
])('a trusted proxy that %s', (_name, forwarded, expected) => {
  const headers = { 'x-forwarded-for': forwarded, 'x-forwarded-proto': 'https' }
  expect(line({ peer: '10.0.0.1', headers })).toBe(`${expected} https app.example 443 1.1`)
})

test.each([
  ['8443', '8443'],
  ['99999999', '80'],
  ['1 2', '80'],
])('the port in the header of a trusted proxy: %s', (told, expected) => {
  expect(line({ peer: '10.0.0.1', headers: { 'x-forwarded-port': told } })).toContain(
    ` app.example ${expected} `,
  )
})

test('addresses and CIDRs are trusted, whichever way the address is written, and nothing else', () => {
  const trusts = trustOf(['127.0.0.1', '10.0.0.0/8', 'fd00::/8', '::1'])
  const asked = ['127.0.0.1', '::ffff:127.0.0.1', '10.255.0.1', '::ffff:10.1.2.3', 'fd12::1', '::1']
  expect(asked.filter((address) => !trusts(address))).toEqual([])
  const others = ['127.0.0.2', '11.0.0.1', '::ffff:192.0.2.1', 'fe80::1', '', 'localhost', '10.0.0.0/8']
  expect(others.filter(trusts)).toEqual([])
  expect([trustOf()('127.0.0.1'), trustOf(() => true)('192.0.2.1')]).toEqual([false, true])
})

test.each(['10.0.0.0/33', 'localhost', '10.0.0.0/', '10.0.0.0/8/8', 'fd00::/129', '10.0.0.0/-1', ''])(
  'a trusted proxy that is no address is named: %j',
  (entry) => {
    expect(() => trustOf([entry])).toThrow(
      `trustProxy: ${JSON.stringify(entry)} is not an IP address or CIDR`,
    )
  },
)
