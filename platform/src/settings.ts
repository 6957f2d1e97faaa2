import { isIP } from 'node:net'

export interface Environment {
  readonly [name: string]: string | undefined
}

/** One kind of value: how its text is parsed, and what to set if the text is wrong. */
export interface Setting<T> {
  /** Undefined = the text is wrong. */
  readonly parse: (text: string) => T | undefined
  readonly expects: string
}

function integer(min: number, max: number, what: string): Setting<number> {
  return {
    parse: (text) =>
      /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined,
    expects: `set ${what} from ${min} to ${max}`,
  }
}

function oneOf<const T extends string>(...words: readonly T[]): Setting<T> {
  return {
    parse: (text) => words.find((word) => word === text.toLowerCase()),
    expects: `set one of ${words.join(', ')}`,
  }
}

/** A comma-separated list. Each item is checked. */
function list(item: (text: string) => boolean, expects: string): Setting<string[]> {
  return {
    parse: (text) => {
      const items = text
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean)
      return items.length > 0 && items.every(item) ? items : undefined
    },
    expects,
  }
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const HOST_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`, 'i')
const DOMAIN = new RegExp(`^(${LABEL}(?:\\.${LABEL})*)(?::(\\d{1,5}))?$`, 'i')

const KUBERNETES_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`)

/** `[registry[:port]/]path[:tag][@digest]`. Everything except the tag is lower case. */
const IMAGE =
  /^[a-z0-9][a-z0-9._-]*(?::\d+(?=\/))?(?:\/[a-z0-9._-]+)*(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]{64})?$/

/** The units of Kubernetes quantities that make sense for an app's processor and memory. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}
/** In bytes. Less must be a typing error, as Python cannot start in it. */
const LEAST_MEMORY = 16 * 2 ** 20

/** The value of a quantity, in cores or bytes. */
export function amountOf(quantity: string): number {
  const [, number, unit = ''] = /^([\d.]+)(\w*)$/.exec(quantity) ?? []
  return Number(number) * (UNITS[unit] ?? Number.NaN)
}

export const SETTINGS = {
  port: integer(0, 65_535, 'a port'),
  count: integer(1, 1_000_000, 'a whole number'),
  limit: integer(0, 1_000_000, 'a whole number, 0 for no limit,'),
  frontConnections: integer(16, 1_000_000, 'a number of connections'),
  /** The same range as IDLE_TIMEOUT_S of the SDK, which a vitest global setup cannot load. A test compares them. */
  idleTimeout: integer(5, 86_400, 'seconds'),
  responseTimeout: integer(1, 86_400, 'seconds'),
  megabytes: integer(1, 1_048_576, 'megabytes'),
  /** The size of a file system, which needs some room for its journal and tables. */
  storageMegabytes: integer(16, 1_048_576, 'megabytes'),
  connections: integer(4, 1_000, 'a number of connections'),
  logLevel: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  logFormat: oneOf('auto', 'pretty', 'json'),
  egress: oneOf('internet', 'none', 'list'),
  signup: oneOf('open', 'closed'),
  role: oneOf('all', 'gate', 'api'),
  runtime: oneOf('local', 'kubernetes'),
  replicas: integer(1, 1_000, 'a number of pods'),
  poolSize: integer(0, 1_000, 'a number of pods'),
  shutdownDelay: integer(0, 600, 'seconds'),
  shutdownGrace: integer(1, 3_600, 'seconds'),
  flag: {
    parse: (text) => ({ '1': true, true: true, '0': false, false: false })[text.toLowerCase()],
    expects: 'set 1 or 0',
  } satisfies Setting<boolean>,
  onOff: {
    parse: (text) => ({ on: true, off: false })[text.toLowerCase()],
    expects: 'set on or off',
  } satisfies Setting<boolean>,
  hosts: list(
    (text) => isIP(text) !== 0 || HOST_NAME.test(text),
    'set the addresses to listen on, comma separated, such as 127.0.0.1,::1 or 0.0.0.0',
  ),
  proxies: list(
    (text) => isIP(text.replace(/\/\d{1,3}$/, '')) !== 0,
    'set the addresses of your proxies, comma separated, such as 10.0.0.0/8',
  ),
  modules: list(
    (text) => /^[A-Za-z_]\w*$/.test(text),
    'set top-level Python modules, comma separated, such as numpy,pandas',
  ),
  namespace: {
    parse: (text) => (KUBERNETES_NAME.test(text) && /^[^.]{1,63}$/.test(text) ? text : undefined),
    expects: 'set the name of a namespace: at most 63 lower-case letters, digits and "-"',
  } satisfies Setting<string>,
  kubernetesName: {
    parse: (text) => (KUBERNETES_NAME.test(text) && text.length <= 253 ? text : undefined),
    expects: 'set a name as Kubernetes takes it: lower-case letters, digits, "-" and "."',
  } satisfies Setting<string>,
  image: {
    parse: (text) => (IMAGE.test(text) && text.length <= 512 ? text : undefined),
    expects: 'set the name of the image that runs apps, such as fp/runner:1.0',
  } satisfies Setting<string>,
  cpu: {
    parse: (text) => (/^(?:\d+(?:\.\d{1,3})?|\d+m)$/.test(text) && amountOf(text) > 0 ? text : undefined),
    expects: 'set a number of cores as Kubernetes takes it, such as 2 or 100m (a tenth of one)',
  } satisfies Setting<string>,
  memory: {
    parse: (text) =>
      /^\d+(?:\.\d+)?(?:[kMGT]|[KMGT]i)?$/.test(text) && amountOf(text) >= LEAST_MEMORY ? text : undefined,
    expects: 'set an amount of memory as Kubernetes takes it, at least 16Mi, such as 512Mi or 1Gi',
  } satisfies Setting<string>,
  hostAndPort: {
    parse: (text) => {
      const port = DOMAIN.exec(text)?.[2]
      return port !== undefined && Number(port) <= 65_535 ? text.toLowerCase() : undefined
    },
    expects: 'set a host name and a port, such as fp-mongodb-0.fp-mongodb.fp-system.svc:27018',
  } satisfies Setting<string>,
  domain: {
    parse: (text) => {
      const port = DOMAIN.exec(text)?.[2]
      return DOMAIN.test(text) && (port === undefined || Number(port) <= 65_535)
        ? text.toLowerCase()
        : undefined
    },
    expects: 'set a host name with the port people type, such as localhost:8080 or apps.example.com',
  } satisfies Setting<string>,
  origin: {
    parse: (text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined
      const bare = url && url.pathname === '/' && !url.search && !url.hash && !url.username
      return bare && /^https?:$/.test(url.protocol) ? url.origin : undefined
    },
    expects: 'set the address of the console without a path, such as https://fp.example.com',
  } satisfies Setting<string>,
  mongodbUri: {
    parse: (text) => (/^mongodb(?:\+srv)?:\/\/[^/?]+/.test(text) ? text : undefined),
    expects: 'set an address such as mongodb://user:password@host:27017/fp (a replica set)',
  } satisfies Setting<string>,
  token: {
    parse: (text) => (/^[\x21-\x7e]{16,}$/.test(text) ? text : undefined),
    expects: 'set at least 16 characters without spaces, such as the output of: openssl rand -hex 32',
  } satisfies Setting<string>,
  key: {
    parse: (text) => {
      const bytes = Buffer.from(text, 'base64')
      return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) && bytes.length === 32 ? bytes : undefined
    },
    expects: 'set 32 bytes in base64, such as the output of: openssl rand -base64 32',
  } satisfies Setting<Buffer>,
} as const
