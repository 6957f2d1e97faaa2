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

/** MongoDB's default port. */
const DEFAULT_PORT = 27_017

/** How apps reach MongoDB. Each user has a database user and a password of its own. */
export interface AppDatabases {
  /** The host in the URIs that apps get. */
  readonly host: string
  /** Further options of these URIs. */
  readonly options: Readonly<Record<string, string>>
  /** Undefined: apps connect to MongoDB themselves. */
  readonly relay: Relay | undefined
  /** What apps may reach. Includes a MongoDB to which they connect themselves. */
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
 * Apps reach a MongoDB of this machine, on a socket or on loopback, through a relay, as they can reach neither over their
 * network. They reach any other MongoDB at the address that the platform uses. Their network allows it, even a private one.
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
        // Without this option drivers ask the replica set for its members and bypass the relay.
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
      logger.warn({ app_id: appId, count, open }, 'an app opens too many connections to MongoDB')
      const text = `MongoDB refused ${count} connections: this app has ${open} open, ${config.databaseConnections} are allowed (FP_DATABASE_CONNECTIONS). Make one MongoClient for the whole app.`
      tell(appId, text)
    },
    onForbidden(appId, { count, reason }) {
      logger.warn({ app_id: appId, count, reason }, 'commands of an app were not passed on to MongoDB')
      tell(appId, `MongoDB refused ${count} commands and ended their connections: ${reason}`)
    },
  })
  // The replica set names its member by a path that apps cannot reach, so their drivers must not ask for members.
  return { host: DATABASE_HOST, options: { directConnection: 'true' }, relay, egress: config.egress }
}

/** The first member on loopback, as the relay's upstream. If there are several, the admin must name the primary first. */
function onLoopback(hosts: readonly HostAddress[]): string | undefined {
  const found = hosts.find(({ host }) => host === 'localhost' || host === '::1' || host?.startsWith('127.'))
  return found && `127.0.0.1:${found.port ?? DEFAULT_PORT}`
}
