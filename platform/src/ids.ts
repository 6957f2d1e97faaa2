import { customAlphabet } from 'nanoid'

/** Lower case only: an app's id is part of a host name, which has no case. 36^12 is 62 bits. */
const random = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 12)

/** A new id such as `u_3k9…`; without a prefix it is a valid DNS label. */
export function newId(prefix?: string): string {
  return prefix ? `${prefix}_${random()}` : random()
}
