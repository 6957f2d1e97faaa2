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

/** Limit for the open connections of all apps together. Each one costs mongod a thread and some 300 KB. */
export const MAX_APP_CONNECTIONS = 1_000

/** Time between two checks of the log's size, in ms. */
const LOG_INTERVAL = 10_000

/** The MongoDB that the platform runs itself. */
export interface ManagedMongod {
  readonly version: string
  readonly sockets: MongodSockets
  /** The folder for temporary files, e.g. of large sorts. */
  readonly tempDir: string
  pid(): number
  /** Why MongoDB does not answer at the moment. Undefined: it answers. */
  problem(): string | undefined
  /** The URI of one database. Contains the root user's password. */
  uri(database: string): string
  stop(): Promise<void>
}

export interface MongodOptions extends FindOptions {
  /** The folder with the data files, the log, the key file and the root user's password. */
  readonly dir: string
  /** MongoDB ended by itself, or could not be started again. The next attempt is in `retryIn` ms. */
  readonly onCrash?: (crash: { how: string; retryIn: number; error?: unknown }) => void
  /** MongoDB was started again. */
  readonly onRestart?: () => void
}

/**
 * Starts mongod on a new or existing folder: a one-node replica set with a key file and authentication, so that change
 * streams, transactions and rights work as in production. It listens only on sockets, so there is no port that another program
 * could use. Whenever mongod ends, it is started again.
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
      options.onWarning?.(`The log of MongoDB could not be rotated: ${error.message}`),
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
