import { isIPv4 } from 'node:net'
import type { Setting } from './settings.ts'

/** What apps of this machine may reach. */
export interface Egress {
  /** internet: everything but private networks, the machine and other apps. list: only what is allowed. */
  readonly mode: 'internet' | 'none' | 'list'
  /** With `internet` these may be reached too, with `list` only these. */
  readonly allowed: readonly Destination[]
  /** A private network for the addresses of apps; undefined: the first common one that the machine does not use. */
  readonly addresses: string | undefined
}

/** `port` null: every port. */
export type Destination =
  | { readonly network: string; readonly port: number | null }
  | { readonly host: string; readonly port: number | null }

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
const HOST = new RegExp(`^(?=.*[a-z])${LABEL}(?:\\.${LABEL})*$`, 'i')
/** Leaves room for 62 apps in each of the 16 parts into which platforms on one machine divide the network. */
const LONGEST_PREFIX = 22
const SHORTEST_PREFIX = 8

export const EGRESS_SETTINGS = {
  destinations: {
    parse: (text) => {
      const items = text
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean)
        .map(destinationOf)
      return items.length > 0 && items.every((item) => item !== undefined) ? items : undefined
    },
    expects:
      'set IPv4 networks, addresses or names, each with a port if only that one is meant, comma separated, such as 10.0.0.0/8,192.168.1.5:5432,api.example.com:443',
  } satisfies Setting<Destination[]>,
  network: {
    parse: (text) => {
      const network = networkOf(text)
      const prefix = Number(network?.split('/')[1])
      return prefix >= SHORTEST_PREFIX && prefix <= LONGEST_PREFIX ? network : undefined
    },
    expects: `set a private IPv4 network that this machine does not use, with a prefix from ${SHORTEST_PREFIX} to ${LONGEST_PREFIX}, such as 10.213.0.0/16`,
  } satisfies Setting<string>,
} as const

/** Also allows the hosts of a database that apps reach over their network. */
export function withDatabase(egress: Egress, hosts: readonly { host: string; port: number }[]): Egress {
  if (hosts.length === 0) return egress
  const database = hosts
    .map(({ host, port }) => destinationOf(`${host}:${port}`))
    .filter((it) => it !== undefined)
  return {
    ...egress,
    mode: egress.mode === 'none' ? 'list' : egress.mode,
    allowed: [...egress.allowed, ...database],
  }
}

/** `read` parses one setting. Settings that contradict each other are added to `problems`. */
export function readEgress(
  read: <T>(name: string, setting: Setting<T>) => T | undefined,
  mode: Egress['mode'] | undefined,
  problems: string[],
): Egress {
  const allowed = read('FP_EGRESS_ALLOWED', EGRESS_SETTINGS.destinations)
  if (mode === 'none' && allowed) {
    problems.push('FP_EGRESS_ALLOWED is set, but FP_EGRESS=none allows nothing: set FP_EGRESS=list')
  }
  if (mode === 'list' && !allowed) {
    problems.push('FP_EGRESS is "list": set FP_EGRESS_ALLOWED to what apps may reach')
  }
  return {
    mode: mode ?? 'internet',
    allowed: allowed ?? [],
    addresses: read('FP_APP_NETWORK', EGRESS_SETTINGS.network),
  }
}

function destinationOf(text: string): Destination | undefined {
  const [, place = '', portText] = /^(.*?)(?::(\d{1,5}))?$/.exec(text) ?? []
  const port = portText === undefined ? null : Number(portText)
  if (port !== null && (port < 1 || port > 65_535)) return undefined
  const network = networkOf(isIPv4(place) ? `${place}/32` : place)
  if (network) return { network, port }
  return HOST.test(place) && place.length <= 253 ? { host: place.toLowerCase(), port } : undefined
}

/** Undefined if the text is not a network, or is ambiguous because bits beyond the prefix are set. */
function networkOf(text: string): string | undefined {
  const [, address = '', prefixText = ''] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? []
  const prefix = Number(prefixText)
  if (!isIPv4(address) || prefix > 32) return undefined
  const bits = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return bits % 2 ** (32 - prefix) === 0 ? text : undefined
}
