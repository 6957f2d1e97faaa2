import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { repeat } from '../repeat.ts'
import { secretFile } from '../secret-file.ts'
import { findMongod, type FindOptions } from './binary.ts'
import { logTail, rotateLog, spawnDaemon, stopOrphan, type Daemon } from './daemon.ts'
import { madeBy, recordMadeBy } from './data-version.ts'
import { keepRunning } from '../keep-running.ts'
import { becomePrimary, REPLICA_SET, rootUri } from './replica-set.ts'
import { tune } from './tuning.ts'
import { mongodSockets, socketHost, type MongodSockets } from './sockets.ts'

/** What all apps may have open at once. Each connection costs mongod a thread and some 300 KB. */
export const MAX_APP_CONNECTIONS = 1_000

/** Between two looks at the size of its log, ms. */
const LOG_INTERVAL = 10_000

/** The MongoDB the platform runs for itself. */
export interface ManagedMongod {
  readonly version: string
  readonly sockets: MongodSockets
  /** The folder of the temporary files of sorts and the like. */
  readonly tempDir: string
  pid(): number
  /** Why it does not answer at the moment, if so. */
  problem(): string | undefined
  /** Address of one database, with the root user's password in it. */
  uri(database: string): string
  stop(): Promise<void>
}

export interface MongodOptions extends FindOptions {
  /** Holds the data files, the log, the key file and the root user's password. */
  readonly dir: string
  /** It ended without being told to, or could not be started again; the next attempt is in `retryIn` ms. */
  readonly onCrash?: (crash: { how: string; retryIn: number; error?: unknown }) => void
  /** It is up again. */
  readonly onRestart?: () => void
}

/**
 * Starts mongod on a folder, or starts it again there: a one-node replica set with a key file and authentication, so that
 * change streams, transactions and rights work as in production. It listens on sockets alone: there is no port that somebody
 * else could take. Started again for ever, whenever it ends.
 */
export async function startMongod(options: MongodOptions): Promise<ManagedMongod> {
  const { dir } = options
  const maker = await madeBy(dir)
  const binary = await findMongod({ ...options, ...(maker && { madeBy: maker }) })
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await stopOrphan(dir)
  await recordMadeBy(dir, maker ?? binary.version)
  const password = await secretFile(path.join(dir, 'mongo-root.password'), () =>
    randomBytes(24).toString('base64url'),
  )
  const keyFile = path.join(dir, 'mongo.key')
  await secretFile(keyFile, () => randomBytes(96).toString('base64'))
  const sockets = await mongodSockets(dir)
  const address = socketHost(sockets.platform)

  async function launch(): Promise<Daemon> {
    const next = await spawnDaemon({
      ...{ binary, dir, sockets, keyFile },
      replicaSet: REPLICA_SET,
      maxConnections: MAX_APP_CONNECTIONS,
    })
    const death = new AbortController()
    void next.ended.then((how) => death.abort(new Error(`mongod ended (${how})`)))
    try {
      await becomePrimary({ address, member: sockets.platform, password, signal: death.signal })
      await tune(rootUri(address, password))
      return next
    } catch (error) {
      await next.stop()
      throw new Error(`MongoDB did not start. The end of ${dir}/mongod.log:\n${await logTail(dir)}`, {
        cause: error,
      })
    }
  }

  const kept = await keepRunning({
    launch,
    ...(options.onCrash && { onEnd: options.onCrash }),
    ...(options.onRestart && { onRestart: options.onRestart }),
  })
  const rotation = repeat(async () => {
    await rotateLog(dir, rootUri(address, password)).catch((error: Error) =>
      options.onWarning?.(`The log of MongoDB could not be begun anew: ${error.message}`),
    )
    return LOG_INTERVAL
  }, LOG_INTERVAL)
  return {
    version: binary.version,
    sockets,
    tempDir: path.join(dir, 'mongo', '_tmp'),
    pid: () => kept.current().pid,
    problem: kept.problem,
    uri: (database) => rootUri(address, password, database),
    stop() {
      void rotation.end()
      return kept.stop()
    },
  }
}
