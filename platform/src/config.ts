import path from 'node:path'
import { closest } from './closest.ts'
import { cookieWarning } from './front/cookie-domains.ts'
import { readKubernetes } from './config-kubernetes.ts'
import { readEgress, type Egress } from './egress.ts'
import type { KubernetesSettings } from './runtime/kubernetes/settings.ts'
import { SETTINGS, type Environment, type Setting } from './settings.ts'

/** Everything that can be set from outside. `loadConfig` is the only place that reads the environment. */
export interface Config {
  /** 0 = any free port (tests); `withPort` then sets the real port here and in the addresses. */
  readonly port: number
  /** Addresses to listen on. */
  readonly hosts: readonly string[]
  readonly dataDir: string
  /** Undefined: the platform runs its own MongoDB. */
  readonly mongodbUri: string | undefined
  /** Where to look for a `mongod`, best first, and whether FP_MONGOD named the place. */
  readonly mongod: { readonly candidates: readonly string[]; readonly chosen: boolean }
  /** `host[:port]`; apps answer on `app-<id>.<appDomain>`. */
  readonly appDomain: string
  /** Origin of the console and the API, without a slash at the end. */
  readonly publicUrl: string
  /** 32 bytes; undefined = the file `secret.key` of the data folder. */
  readonly secretKey: Buffer | undefined
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  readonly logFormat: 'auto' | 'pretty' | 'json'
  readonly allowUnsandboxed: boolean
  /** Whether apps are forks of one interpreter that has imported the frameworks. If not, each has a new interpreter. */
  readonly zygote: boolean
  readonly python: string
  /** Milliseconds without a request until an app sleeps, unless the app has its own setting. */
  readonly idleTimeout: number
  /** Megabytes that all awake apps together may use; 0: what the machine allows. */
  readonly awakeMb: number
  /** Milliseconds an awake app may take until its response begins; its visitor then gets 504. */
  readonly responseTimeout: number
  /** How large each user's database may be, in MB (2^20 bytes). */
  readonly databaseMb: number
  /** How much an app may keep in its storage, in MB. */
  readonly storageMb: number
  /** Connections to MongoDB that one app may have at once. */
  readonly databaseConnections: number
  /** Top-level modules apps may import besides the default allow-list. */
  readonly allowedImports: readonly string[]
  /** What apps of this machine may reach. In a cluster NetworkPolicies decide that. */
  readonly egress: Egress
  readonly consoleDir: string
  /** The token for `/metrics`; undefined = programs of this machine need none. */
  readonly metricsToken: string | undefined
  readonly signup: 'open' | 'closed'
  /** Limits for one client at the front door. 0: no limit. */
  readonly bounds: ClientBounds
  /** Limits for users who are not admins. 0: no limit. */
  readonly quotas: UserQuotas
  /** How many accounts one address may create in an hour. */
  readonly signupsPerHour: number
  /** Proxies in front whose X-Forwarded-* headers are trusted: `false`, or addresses and CIDR ranges. */
  readonly trustProxy: false | readonly string[]
  /** Undefined: apps run on this machine. */
  readonly kubernetes: KubernetesSettings | undefined
  /** What this process runs: the gate and the API, which the gate starts as its child, or one of the two. */
  readonly role: 'all' | 'gate' | 'api'
  /** How long the process goes on serving after a stop signal, in ms, until no more requests are sent to it. */
  readonly shutdownDelay: number
  /** How long running requests may take at shutdown, in ms. */
  readonly shutdownGrace: number
  /** Messages to the person who starts the platform. */
  readonly warnings: readonly string[]
}

export interface UserQuotas {
  /** Apps of one user. */
  readonly apps: number
  readonly deploysPerHour: number
  /** Apps of one user that have or had storage. */
  readonly storageApps: number
  /** Apps of one user that are awake. */
  readonly awake: number
}

export interface ClientBounds {
  /** Average number of requests to the API that a user may make per second. */
  readonly apiRate: number
  /** Connections of all clients together. */
  readonly connections: number
  /** Connections of one address, and also its concurrent requests. */
  readonly perAddress: number
  /** Concurrent requests and WebSockets of one app. */
  readonly perApp: number
}

/** The message has one line for each wrong value, which says what to set. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(['The settings are wrong:', ...problems.map((problem) => `  - ${problem}`)].join('\n'))
    this.problems = problems
  }
}

/** The folder of the checkout. Default files are in its `.fp`. */
const ROOT = path.resolve(import.meta.dirname, '../..')

/** Reads nothing but `env`. Throws a ConfigError that names every wrong value. */
export function loadConfig(env: Environment, options: { root?: string; cwd?: string } = {}): Config {
  const root = options.root ?? ROOT
  const cwd = options.cwd ?? process.cwd()
  const problems: string[] = []
  /** The parsed setting. An empty one counts as not set. */
  const read = <T>(name: string, setting: Setting<T>): T | undefined => {
    const text = env[name]?.trim()
    if (!text) return undefined
    const parsed = setting.parse(text)
    if (parsed === undefined) problems.push(`${name} is ${show(name, text)}: ${setting.expects}`)
    return parsed
  }
  const file = (name: string, fallback: string): string => {
    const text = env[name]?.trim()
    return text ? path.resolve(cwd, text) : path.join(root, fallback)
  }

  const storageMb = read('FP_STORAGE_MB', SETTINGS.storageMegabytes) ?? 100
  const inCluster = read('FP_RUNTIME', SETTINGS.runtime) === 'kubernetes'
  const port = read('FP_PORT', SETTINGS.port) ?? 8080
  const publicUrl = read('PUBLIC_URL', SETTINGS.origin) ?? `http://localhost:${port}`
  const mongod = env['FP_MONGOD']?.trim()
  const config: Config = {
    port,
    hosts: read('FP_HOST', SETTINGS.hosts) ?? ['127.0.0.1', '::1'],
    dataDir: file('FP_DATA_DIR', '.fp/data'),
    mongodbUri: read('MONGODB_URI', SETTINGS.mongodbUri),
    mongod: {
      chosen: Boolean(mongod),
      candidates: mongod
        ? [path.resolve(cwd, mongod)]
        : [
            ...(env['PATH'] ?? '')
              .split(path.delimiter)
              .filter(Boolean)
              .map((folder) => path.join(folder, 'mongod')),
            path.join(root, '.fp/mongodb-download/bin/mongod'),
            path.join(root, '.fp/mongodb/bin/mongod'),
          ],
    },
    appDomain: read('APP_DOMAIN', SETTINGS.domain) ?? `localhost:${port}`,
    publicUrl,
    secretKey: read('FP_SECRET_KEY', SETTINGS.key),
    logLevel: read('FP_LOG_LEVEL', SETTINGS.logLevel) ?? 'info',
    logFormat: read('FP_LOG_FORMAT', SETTINGS.logFormat) ?? 'auto',
    allowUnsandboxed: read('FP_ALLOW_UNSANDBOXED', SETTINGS.flag) ?? false,
    zygote: read('FP_ZYGOTE', SETTINGS.onOff) ?? true,
    python: file('FP_PYTHON', '.fp/venv/bin/python'),
    idleTimeout: (read('FP_IDLE_TIMEOUT_S', SETTINGS.idleTimeout) ?? 900) * 1000,
    responseTimeout: (read('FP_RESPONSE_TIMEOUT_S', SETTINGS.responseTimeout) ?? 300) * 1000,
    awakeMb: read('FP_MAX_AWAKE_MB', SETTINGS.limit) ?? 0,
    databaseMb: read('FP_DATABASE_MB', SETTINGS.megabytes) ?? 512,
    storageMb,
    databaseConnections: read('FP_DATABASE_CONNECTIONS', SETTINGS.connections) ?? 128,
    allowedImports: read('FP_ALLOWED_IMPORTS', SETTINGS.modules) ?? [],
    egress: readEgress(read, read('FP_EGRESS', SETTINGS.egress), problems),
    consoleDir: file('FP_CONSOLE_DIR', 'console/build'),
    metricsToken: read('FP_METRICS_TOKEN', SETTINGS.token),
    signup: read('FP_SIGNUP', SETTINGS.signup) ?? 'open',
    bounds: {
      apiRate: read('FP_API_RATE', SETTINGS.limit) ?? 50,
      connections: read('FP_MAX_CONNECTIONS', SETTINGS.frontConnections) ?? 10_000,
      perAddress: read('FP_MAX_PER_ADDRESS', SETTINGS.limit) ?? 256,
      perApp: read('FP_MAX_PER_APP', SETTINGS.limit) ?? 1_000,
    },
    quotas: {
      apps: read('FP_MAX_APPS_PER_USER', SETTINGS.limit) ?? 100,
      deploysPerHour: read('FP_MAX_DEPLOYS_PER_HOUR', SETTINGS.limit) ?? 120,
      storageApps: read('FP_MAX_STORAGE_APPS_PER_USER', SETTINGS.limit) ?? 10,
      awake: read('FP_MAX_AWAKE_PER_USER', SETTINGS.limit) ?? 20,
    },
    signupsPerHour: read('FP_SIGNUPS_PER_HOUR', SETTINGS.count) ?? 60,
    trustProxy: read('FP_TRUST_PROXY', SETTINGS.proxies) ?? false,
    kubernetes: inCluster ? readKubernetes(env, read, problems, storageMb) : undefined,
    role: read('FP_ROLE', SETTINGS.role) ?? 'all',
    shutdownDelay: (read('FP_SHUTDOWN_DELAY_S', SETTINGS.shutdownDelay) ?? 0) * 1000,
    shutdownGrace: (read('FP_SHUTDOWN_GRACE_S', SETTINGS.shutdownGrace) ?? 2) * 1000,
    warnings: [...unknownNames(env), ...(inCluster ? unusedInCluster(env) : [])],
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const warning = cookieWarning(config)
  return warning === undefined ? config : { ...config, warnings: [...config.warnings, warning] }
}

/** The settings that begin with FP_. Any other such name in the environment is a typing error. */
export const SETTING_NAMES: readonly string[] = [
  'FP_PORT',
  'FP_HOST',
  'FP_DATA_DIR',
  'FP_MONGOD',
  'FP_SECRET_KEY',
  'FP_LOG_LEVEL',
  'FP_LOG_FORMAT',
  'FP_ALLOW_UNSANDBOXED',
  'FP_ZYGOTE',
  'FP_PYTHON',
  'FP_IDLE_TIMEOUT_S',
  'FP_RESPONSE_TIMEOUT_S',
  'FP_DATABASE_MB',
  'FP_STORAGE_MB',
  'FP_DATABASE_CONNECTIONS',
  'FP_ALLOWED_IMPORTS',
  'FP_EGRESS',
  'FP_EGRESS_ALLOWED',
  'FP_APP_NETWORK',
  'FP_CONSOLE_DIR',
  'FP_METRICS_TOKEN',
  'FP_SIGNUP',
  'FP_SIGNUPS_PER_HOUR',
  'FP_TRUST_PROXY',
  'FP_API_RATE',
  'FP_MAX_CONNECTIONS',
  'FP_MAX_PER_ADDRESS',
  'FP_MAX_PER_APP',
  'FP_MAX_APPS_PER_USER',
  'FP_MAX_DEPLOYS_PER_HOUR',
  'FP_MAX_STORAGE_APPS_PER_USER',
  'FP_MAX_AWAKE_PER_USER',
  'FP_MAX_AWAKE_MB',
  'FP_ROLE',
  'FP_RUNTIME',
  'FP_KUBE_NAMESPACE',
  'FP_RUNNER_IMAGE',
  'FP_POOL_SIZE',
  'FP_RUNTIME_CLASS',
  'FP_APP_MAX_REPLICAS',
  'FP_STORAGE_CLASS',
  'FP_APP_MONGODB_HOST',
  'FP_APP_CPU_REQUEST',
  'FP_APP_CPU_LIMIT',
  'FP_APP_MEMORY',
  'FP_APP_MEMORY_REQUEST',
  'FP_SHUTDOWN_DELAY_S',
  'FP_SHUTDOWN_GRACE_S',
]

/** Variables of fp's tests, and of the machine that runs them. */
const OF_TESTS = /^FP_(E2E|BASE)_|^FP_CHROMIUM$/

function unknownNames(env: Environment): string[] {
  return Object.keys(env)
    .filter((name) => /^FP_/i.test(name) && !SETTING_NAMES.includes(name) && !OF_TESTS.test(name))
    .map((name) => {
      const near = closest(name.toUpperCase(), SETTING_NAMES)
      return `${name} is not a setting and is ignored.${near ? ` Did you mean ${near}?` : ''}`
    })
}

function unusedInCluster(env: Environment): string[] {
  return ['FP_EGRESS', 'FP_EGRESS_ALLOWED', 'FP_APP_NETWORK']
    .filter((name) => env[name]?.trim())
    .map((name) => `${name} is ignored on Kubernetes: the NetworkPolicy egress-allowed says what apps reach.`)
}

/** Secrets are not repeated in messages. */
function show(name: string, text: string): string {
  if (name === 'FP_SECRET_KEY' || name === 'FP_METRICS_TOKEN') return `${text.length} characters long`
  if (name === 'MONGODB_URI') return 'not usable'
  return JSON.stringify(text)
}

/** Sets the real port in a config with port 0. */
export function withPort(config: Config, port: number): Config {
  const set = (text: string): string => (config.port === 0 ? text.replace(/:0$/, `:${port}`) : text)
  return { ...config, port, appDomain: set(config.appDomain), publicUrl: set(config.publicUrl) }
}

/** The URL of an app, without a slash at the end. */
export function appUrl(config: Pick<Config, 'appDomain' | 'publicUrl'>, appId: string): string {
  return `${new URL(config.publicUrl).protocol}//app-${appId}.${config.appDomain}`
}
