import { expect, it } from 'vitest'
import { network } from './network.ts'

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', 'loopback'],
  ['127.0.0.1', 'loopback'],
  ['127.0.4.70', 'loopback'],
  ['::ffff:127.0.4.1', 'loopback'],
  ['::2', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s counts as %s', (address, expected) => {
  expect(network(address)).toBe(expected)
})
