import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import path from 'node:path'
import { secretFile } from '../secret-file.ts'
import { findMongod } from './binary.ts'
import { logTail, spawnDaemon, stopOrphan, type Daemon } from './daemon.ts'
import { becomePrimary, REPLICA_SET, rootUri } from './replica-set.ts'

/** The MongoDB the platform runs for itself. */
export interface ManagedMongod {
  readonly port: number
  pid(): number
  /** Address of one database, with the root user's password in it. */
  uri(database: string): string
  stop(): Promise<void>
}

export interface MongodOptions {
  /** Holds the data files, the log, the key file and the root user's password. */
  readonly dir: string
  /** Where `mongod` may be, best first. */
  readonly candidates: readonly string[]
  /** It ended without being told to; `restarted` = it is up again, on the same port. */
  readonly onCrash?: (crash: { how: string; restarted: boolean; error?: unknown }) => void
}

/**
 * Starts mongod on a folder, or starts it again there: a one-node replica set with a key file and authentication, so that
 * change streams, transactions and rights work as in production. Listens on 127.0.0.1 only. Restarted when it crashes.
 */
export async function startMongod(options: MongodOptions): Promise<ManagedMongod> {
  const { dir, onCrash } = options
  const binary = await findMongod(options.candidates)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await stopOrphan(dir)
  const password = await secretFile(path.join(dir, 'mongo-root.password'), () =>
    randomBytes(24).toString('base64url'),
  )
  const keyFile = path.join(dir, 'mongo.key')
  await secretFile(keyFile, () => randomBytes(96).toString('base64'))
  const port = await choosePort(path.join(dir, 'mongo.port'))
  let stopping = false
  let daemon = await launch()
  watch()

  async function launch(): Promise<Daemon> {
    const next = await spawnDaemon({ binary, dir, port, keyFile, replicaSet: REPLICA_SET })
    const death = new AbortController()
    void next.ended.then((how) => death.abort(new Error(`mongod ended (${how})`)))
    try {
      await becomePrimary({ port, password, signal: death.signal })
      return next
    } catch (error) {
      await next.stop()
      throw new Error(`MongoDB did not start. The end of ${dir}/mongod.log:\n${await logTail(dir)}`, {
        cause: error,
      })
    }
  }

  /** One that cannot even start again is not tried for ever: the platform then answers 503 and `/readyz` says why. */
  function watch(): void {
    void daemon.ended.then(async (how) => {
      if (stopping) return
      try {
        daemon = await launch()
        onCrash?.({ how, restarted: true })
        // `stop` may have come in between; it then ended the old one, which was gone already.
        if (stopping) await daemon.stop()
        else watch()
      } catch (error) {
        if (!stopping) onCrash?.({ how, restarted: false, error })
      }
    })
  }

  return {
    port,
    pid: () => daemon.pid,
    uri: (database) => rootUri(port, password, database),
    async stop() {
      stopping = true
      await daemon.stop()
    },
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
