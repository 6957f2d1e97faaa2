import path from 'node:path'
import type { HostAddress } from 'mongodb'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { Mongo } from './plugins/mongo.ts'
import { withDatabase, type Egress } from './egress.ts'
import { MAX_APP_CONNECTIONS } from './mongod/mongod.ts'
import { startRelay, type Relay } from './mongod/relay.ts'
import { relayFolder } from './mongod/sockets.ts'
import { DATABASE_HOST } from './runtime/local/database.ts'

const RUNNER = path.resolve(import.meta.dirname, '../../runner/src')

/** Of MongoDB. */
const DEFAULT_PORT = 27_017

export interface AppDatabasesDeps {
  readonly config: Config
  readonly mongo: Mongo
  /** Where the platform's own MongoDB takes the connections of apps. */
  readonly mongoAppsSocket?: string | undefined
  readonly logger: Logger
}

/** How apps reach MongoDB: each user with a name and a password of its own. */
export interface AppDatabases {
  /** In the place of the host in the addresses that apps are handed. */
  readonly host: string
  /** More options of those addresses. */
  readonly options: Readonly<Record<string, string>>
  /** Undefined: apps connect to MongoDB themselves. */
  readonly relay: Relay | undefined
  /** What apps may reach, a MongoDB that they connect to themselves included. */
  readonly egress: Egress
}

export interface AppDatabasesDeps {
  readonly config: Config
  readonly mongo: Mongo
  /** Where the platform's own MongoDB takes the connections of apps. */
  readonly mongoAppsSocket?: string | undefined
  readonly logger: Logger
}

/**
 * A MongoDB of this machine, on a socket or on loopback, is reached by way of a relay: the networks of apps lead to neither.
 * Any other is reached by the platform's own address of it, which their networks then let through, private or not.
 */
export async function createAppDatabases(
  deps: AppDatabasesDeps,
  note: (appId: string, text: string) => Promise<void>,
): Promise<AppDatabases> {
  const { config, logger } = deps
  const { hosts, replicaSet, tls, directConnection } = deps.mongo.client.options
  const upstream = deps.mongoAppsSocket ?? hosts[0]?.socketPath ?? (tls ? undefined : onLoopback(hosts))
  if (config.kubernetes || upstream === undefined) {
    const relayed = config.kubernetes?.mongodbHost
    return {
      host: relayed ?? hosts.map(String).join(','),
      options: {
        // Drivers ask a set for its members, and would go past the relay.
        ...(relayed ? { directConnection: 'true' } : replicaSet ? { replicaSet } : {}),
        ...(tls ? { tls: 'true' } : {}),
        ...(directConnection && !relayed ? { directConnection: 'true' } : {}),
      },
      relay: undefined,
      egress: withDatabase(
        config.egress,
        hosts.map(({ host, port }) => ({ host: host ?? '', port: port ?? DEFAULT_PORT })),
      ),
    }
  }
  const tell = (appId: string, text: string): void =>
    void note(appId, text).catch((error: unknown) =>
      logger.warn({ err: error }, 'could not write to the log of an app'),
    )
  const relay = await startRelay({
    python: config.python,
    runnerPath: RUNNER,
    upstream,
    folder: relayFolder(path.join(config.dataDir, 'mongodb')),
    perApp: config.databaseConnections,
    total: MAX_APP_CONNECTIONS,
    log: logger,
    onRefused(appId, { count, open }) {
      logger.warn({ app_id: appId, count, open }, 'an app asks for too many connections to MongoDB')
      const text = `MongoDB refused ${count} connections: this app has ${open} open, ${config.databaseConnections} are allowed (FP_DATABASE_CONNECTIONS). Make one MongoClient for the whole app.`
      tell(appId, text)
    },
    onForbidden(appId, { count, reason }) {
      logger.warn({ app_id: appId, count, reason }, 'commands of an app were not passed on to MongoDB')
      tell(appId, `MongoDB refused ${count} commands and ended their connections: ${reason}`)
    },
  })
  // The set knows its only member by a path that apps do not have: their drivers must not ask for it.
  return { host: DATABASE_HOST, options: { directConnection: 'true' }, relay, egress: config.egress }
}

/** The first member there, as the relay takes it; with several, it is for the admin to name the primary first. */
function onLoopback(hosts: readonly HostAddress[]): string | undefined {
  const found = hosts.find(({ host }) => host === 'localhost' || host === '::1' || host?.startsWith('127.'))
  return found && `127.0.0.1:${found.port ?? DEFAULT_PORT}`
}
