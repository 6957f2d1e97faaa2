import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { argumentsOf } from '../process-of.ts'

/** Above this the log of the last run is kept as `mongod.log.1` and a new one begun. */
const MAX_LOG_BYTES = 16 * 1024 * 1024
/** A mongod that takes longer to flush and end is killed; its journal recovers it. */
const STOP_TIMEOUT = 10_000
/** How long mongod waits for operations at SIGTERM; its own default is 15 s. */
const QUIESCE_MS = 100

export interface DaemonOptions {
  readonly binary: string
  /** Holds `mongo/` (the data files) and `mongod.log`. */
  readonly dir: string
  readonly port: number
  readonly keyFile: string
  readonly replicaSet: string
}

export interface Daemon {
  readonly pid: number
  /** Resolves when the process has ended, to how. */
  readonly ended: Promise<string>
  stop(): Promise<void>
}

/**
 * Spawns mongod in a process group of its own, so that the terminal's Ctrl-C does not reach it and held requests can end.
 * Where util-linux' setpriv exists (every Debian) the kernel sends SIGTERM to mongod when the platform dies, however it dies.
 */
export async function spawnDaemon(options: DaemonOptions): Promise<Daemon> {
  const dbPath = path.join(options.dir, 'mongo')
  const logFile = path.join(options.dir, 'mongod.log')
  await mkdir(dbPath, { recursive: true, mode: 0o700 })
  await rotate(logFile)
  const args = [
    ['--dbpath', dbPath],
    ['--port', String(options.port)],
    ['--bind_ip', '127.0.0.1'],
    ['--nounixsocket'],
    ['--replSet', options.replicaSet],
    ['--oplogSize', '64'],
    ['--keyFile', options.keyFile],
    ['--wiredTigerCacheSizeGB', '0.25'],
    ['--setParameter', 'diagnosticDataCollectionEnabled=false'],
    ['--setParameter', `shutdownTimeoutMillisForSignaledShutdown=${QUIESCE_MS}`],
    ['--quiet'],
  ].flat()
  const log = await open(logFile, 'a', 0o600)
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((file) => existsSync(file))
  const command = setpriv ? [setpriv, '--pdeathsig', 'TERM', options.binary] : [options.binary]
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { PATH: '/usr/bin:/bin', LANG: 'C' },
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

async function endOf(child: ChildProcess): Promise<string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.signalCode ?? `exit code ${child.exitCode}`
}

async function rotate(file: string): Promise<void> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  )
  if (size > MAX_LOG_BYTES) await rename(file, `${file}.1`)
}

/**
 * Stops the mongod that an earlier, killed platform left on this folder. mongod writes its pid into `mongod.lock`; the pid
 * counts only if that process is a mongod on this very folder. Returns whether there was one.
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
