import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import { argumentsOf } from '../process-of.ts'
import type { MongodBinary } from './binary.ts'
import type { MongodSockets } from './sockets.ts'
import { cacheSizeGb } from './tuning.ts'

/** A larger log is renamed to `mongod.log.1`, and a new one is begun. */
export const MAX_LOG_BYTES = 16 * 1024 * 1024
/** A mongod that takes longer to end, in ms, is killed. Its journal then recovers the data. */
const STOP_TIMEOUT = 10_000
/** How long mongod waits for operations at SIGTERM. Its default is 15 s. */
const QUIESCE_MS = 100

export interface DaemonOptions {
  readonly binary: MongodBinary
  /** The folder with `mongo/` (the data files) and `mongod.log`. */
  readonly dir: string
  readonly sockets: MongodSockets
  /** Limit for the open connections of all apps together. The platform's connections do not count. */
  readonly maxConnections: number
  readonly keyFile: string
  readonly replicaSet: string
}

export interface Daemon {
  readonly pid: number
  /** Resolves to how the process ended, once it has ended. */
  readonly ended: Promise<string>
  stop(): Promise<void>
}

/**
 * Spawns mongod in a process group of its own, so that the terminal's Ctrl-C does not reach it and running requests can end.
 * If util-linux's setpriv exists (as on every Debian), the kernel sends SIGTERM to mongod when the platform dies in any way.
 */
export async function spawnDaemon(options: DaemonOptions): Promise<Daemon> {
  const { binary, dir } = options
  const dbPath = path.join(dir, 'mongo')
  const logFile = path.join(dir, 'mongod.log')
  await mkdir(dbPath, { recursive: true, mode: 0o700 })
  await renameLarge(logFile)
  // YAML, of which JSON is a subset. A file, because the command line does not accept every option.
  const configFile = path.join(dir, 'mongod.conf')
  await writeFile(configFile, JSON.stringify(configOf(options), undefined, 2), { mode: 0o600 })
  // The data folder is an argument, so that `stopOrphan` can recognize this mongod.
  const args = ['--config', configFile, '--dbpath', dbPath, '--quiet']
  const log = await open(logFile, 'a', 0o600)
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((file) => existsSync(file))
  const command = setpriv ? [setpriv, '--pdeathsig', 'TERM', binary.file] : [binary.file]
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    detached: true,
    // For messages before mongod has opened its log.
    stdio: ['ignore', log.fd, log.fd],
    env: binary.env,
  })
  try {
    await once(child, 'spawn')
  } finally {
    await log.close()
  }
  const ended = endOf(child)
  return {
    pid: child.pid!,
    ended,
    async stop() {
      child.kill('SIGTERM')
      const late = new AbortController()
      const kill = delay(STOP_TIMEOUT, undefined, { signal: late.signal }).then(
        () => child.kill('SIGKILL'),
        () => false,
      )
      await ended
      late.abort()
      await kill
    },
  }
}

function configOf({ dir, sockets, keyFile, replicaSet, maxConnections }: DaemonOptions): object {
  return {
    net: {
      bindIp: [sockets.platform, sockets.apps].join(','),
      // No socket in /tmp. The sockets named above are still created.
      unixDomainSocket: { enabled: false },
      maxIncomingConnections: maxConnections,
      maxIncomingConnectionsOverride: [sockets.platform],
      // Compressed messages are read before authentication: CVE-2025-14847 was there.
      compression: { compressors: 'disabled' },
    },
    systemLog: {
      destination: 'file',
      path: path.join(dir, 'mongod.log'),
      logAppend: true,
      logRotate: 'reopen',
    },
    // A key file makes authentication mandatory. Users' JavaScript must not run in the process with everybody's data.
    security: { keyFile, javascriptEnabled: false },
    replication: { replSetName: replicaSet, oplogSizeMB: 64 },
    storage: { wiredTiger: { engineConfig: { cacheSizeGB: cacheSizeGb() } } },
    // Slower operations than this, in ms, are logged.
    operationProfiling: { slowOpThresholdMs: 1_000 },
    setParameter: {
      // New sessions count until the next refresh: all users together may begin so many in that time. A session that was not
      // used for some minutes is removed. The relay limits the sessions of each app.
      maxSessions: 2_000_000,
      logicalSessionRefreshMillis: 5_000,
      localLogicalSessionTimeoutMinutes: 10,
      diagnosticDataCollectionEnabled: false,
      shutdownTimeoutMillisForSignaledShutdown: QUIESCE_MS,
    },
  }
}

async function endOf(child: ChildProcess): Promise<string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.signalCode ?? `exit code ${child.exitCode}`
}

/** Renames a log that is too large. Returns whether there is no log under its name now. */
async function renameLarge(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined)
  if (found && found.size <= MAX_LOG_BYTES) return false
  if (found) await rename(file, `${file}.1`)
  return true
}

/** Begins a new log if the present one is too large. mongod writes to the renamed one until it gets `logRotate`. */
export async function rotateLog(dir: string, uri: string): Promise<void> {
  if (!(await renameLarge(path.join(dir, 'mongod.log')))) return
  await using client = new MongoClient(uri)
  await client.db('admin').command({ logRotate: 1 })
}

/**
 * Stops the mongod of an earlier, killed platform on this folder. mongod writes its pid into `mongod.lock`. The pid counts
 * only if its process has this folder as an argument. Returns whether there was one.
 */
export async function stopOrphan(dir: string): Promise<boolean> {
  const dbPath = path.join(dir, 'mongo')
  const pid = Number(await readFile(path.join(dbPath, 'mongod.lock'), 'utf8').catch(() => ''))
  const alive = (): boolean => {
    const args = argumentsOf(pid)
    return args !== undefined && args[args.indexOf('--dbpath') + 1] === dbPath
  }
  if (!(pid > 1) || !alive()) return false
  signal(pid, 'SIGTERM')
  for (let waited = 0; alive(); waited += 50) {
    if (waited === STOP_TIMEOUT) signal(pid, 'SIGKILL')
    await delay(50)
  }
  return true
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The end of the log, for error messages. */
export async function logTail(dir: string): Promise<string> {
  const text = await readFile(path.join(dir, 'mongod.log'), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-5).join('\n')
}
