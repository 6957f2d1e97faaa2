import { describe, expect, test } from 'vitest'
import { EGRESS_SETTINGS, withDatabase } from './egress.ts'

const { destinations, network } = EGRESS_SETTINGS

describe('FP_EGRESS_ALLOWED', () => {
  test('accepts networks, addresses and names, with a port or for all ports', () => {
    expect(destinations.parse('10.0.0.0/8, 192.168.1.5:5432,API.example.com:443,db')).toEqual([
      { network: '10.0.0.0/8', port: null },
      { network: '192.168.1.5/32', port: 5432 },
      { host: 'api.example.com', port: 443 },
      { host: 'db', port: null },
    ])
  })

  test.each([
    '',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0:80',
    'host:0',
    'host:70000',
    'https://host',
    '*.example.com',
    '::1',
    'a b',
  ])('refuses %j', (text) => expect(destinations.parse(text)).toBeUndefined())
})

test('a database on another machine is allowed, and nothing else', () => {
  const hosts = [
    { host: '10.1.2.3', port: 27_017 },
    { host: 'db.example.com', port: 27_018 },
  ]
  const database = [
    { network: '10.1.2.3/32', port: 27_017 },
    { host: 'db.example.com', port: 27_018 },
  ]
  const none = { mode: 'none', allowed: [], addresses: undefined } as const
  expect(withDatabase(none, hosts)).toEqual({ ...none, mode: 'list', allowed: database })
  expect(withDatabase({ ...none, mode: 'internet' }, hosts)).toMatchObject({
    mode: 'internet',
    allowed: database,
  })
  expect(withDatabase(none, [])).toBe(none)
})

describe('FP_APP_NETWORK', () => {
  test.each(['10.0.0.0/8', '172.30.0.0/16', '192.168.252.0/22'])('takes %s', (text) =>
    expect(network.parse(text)).toBe(text),
  )
  test.each(['10.0.0.0/7', '192.168.1.0/24', '10.0.0.1/16', '10.213.0.0'])('refuses %s', (text) =>
    expect(network.parse(text)).toBeUndefined(),
  )
})
