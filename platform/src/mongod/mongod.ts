import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import path from 'node:path'
import { secretFile } from '../secret-file.ts'
import { findMongod, type FindOptions } from './binary.ts'
import { logTail, spawnDaemon, stopOrphan, type Daemon } from './daemon.ts'
import { keepRunning } from './keep-running.ts'
import { becomePrimary, REPLICA_SET, rootUri } from './replica-set.ts'
import { mongodSockets, socketHost, type MongodSockets } from './sockets.ts'

/** What all apps may have open at once. Each connection costs mongod a thread and some 300 KB. */
const MAX_CONNECTIONS = 1_000

/** The MongoDB the platform runs for itself. */
export interface ManagedMongod {
  readonly version: string
  readonly sockets: MongodSockets
  readonly port: number
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
 * change streams, transactions and rights work as in production. Started again for ever, whenever it ends.
 */
export async function startMongod(options: MongodOptions): Promise<ManagedMongod> {
  const { dir } = options
  const binary = await findMongod(options)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await stopOrphan(dir)
  const password = await secretFile(path.join(dir, 'mongo-root.password'), () =>
    randomBytes(24).toString('base64url'),
  )
  const keyFile = path.join(dir, 'mongo.key')
  await secretFile(keyFile, () => randomBytes(96).toString('base64'))
  const port = await choosePort(path.join(dir, 'mongo.port'))
  const sockets = await mongodSockets(dir)
  const address = socketHost(sockets.platform)

  async function launch(): Promise<Daemon> {
    const next = await spawnDaemon({
      ...{ binary, dir, sockets, port, keyFile },
      replicaSet: REPLICA_SET,
      maxConnections: MAX_CONNECTIONS,
    })
    const death = new AbortController()
    void next.ended.then((how) => death.abort(new Error(`mongod ended (${how})`)))
    try {
      await becomePrimary({ address, member: sockets.platform, password, signal: death.signal })
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
  return {
    version: binary.version,
    sockets,
    port,
    pid: () => kept.current().pid,
    problem: kept.problem,
    uri: (database) => rootUri(`127.0.0.1:${port}`, password, database),
    stop: kept.stop,
  }
}

/** Below the range from which Linux takes the ports of outgoing connections, so that it is likely free next time too. */
const PORTS = { first: 20_000, count: 10_000 }

/** The port of the last run if it is free, so that addresses handed to apps stay true; else any free one. */
async function choosePort(file: string): Promise<number> {
  const last = Number(await readFile(file, 'utf8').catch(() => ''))
  if (last > 0 && (await isFree(last))) return last
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = PORTS.first + randomInt(PORTS.count)
    if (!(await isFree(port))) continue
    await writeFile(file, String(port))
    return port
  }
  throw new Error('No free port on 127.0.0.1 for MongoDB.')
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}
