import { isIPv6 } from 'node:net'

/** The result of `network` for all loopback addresses. */
export const LOOPBACK = 'loopback'

/**
 * The key under which limits count an address. One client has a whole IPv6 network of 64 bits, and a program on this machine
 * has all of 127.0.0.0/8 and ::1.
 */
export function network(address: string): string {
  if (!isIPv6(address)) return address.startsWith('127.') ? LOOPBACK : address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped) return network(mapped)
  if (address === '::1') return LOOPBACK
  const [head = '', tail = ''] = (address.split('%', 1)[0] ?? '').split('::')
  const left = head ? head.split(':') : []
  const right = tail ? tail.split(':') : []
  const groups = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
