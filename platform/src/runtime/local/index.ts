import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Egress } from '../../egress.ts'
import { repeat } from '../../repeat.ts'
import { LateBinding } from '../binding.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import type { Runtime } from '../runtime.ts'
import { parseTargetKey } from '../targets.ts'
import { checkApp } from './check.ts'
import type { DatabaseSockets } from './database.ts'
import { LocalDriver } from './driver.ts'
import { createVersionFolders } from './files.ts'
import { AppLogs } from './logs.ts'
import { createManager } from './manager.ts'
import { startNotes } from './notes.ts'
import type { IsolationReport } from './protocol.ts'
import { freshSocketDir } from './socket-dir.ts'
import { createStarter } from './starter.ts'
import { createStorage } from './storage.ts'

export interface LocalRuntimeOptions {
  readonly dataDir: string
  readonly python: string
  readonly runnerPath: string
  /** Run apps even if the required minimum of the sandbox is not available. */
  readonly allowUnsandboxed: boolean
  /** Give each app an interpreter of its own in place of a fork of the shared zygote. */
  readonly freshInterpreters?: boolean
  /** What apps may reach. */
  readonly egress: Egress
  /** The ids of the database's processes, if the platform runs the database. */
  readonly databasePids?: () => readonly number[]
  /** How apps reach MongoDB. Undefined: over their network. */
  readonly databases?: DatabaseSockets
  /** Bytes that an app may keep in its storage. */
  readonly storageBytes: number
  readonly log: Logger
}

export interface LocalRuntime extends Runtime {
  readonly report: IsolationReport
  /** The pid of the manager. It changes when the manager is replaced. */
  pid(): number
}

/** How long a stopping app may take to finish its requests, in ms. */
const STOP_GRACE = 30_000
/** The same when the whole platform stops and a person waits for that, in ms. */
const CLOSE_GRACE = 1_500
/** Time between two rotations of logs that have grown, in ms. */
const LOG_SWEEP = 30_000
/** Failures after which the app's own log may say nothing. */
const SILENT_ENDS = new Set(['FP_APP_CRASHED', 'FP_APP_OUT_OF_MEMORY', 'FP_APP_START_TIMEOUT'])

/** Runs apps as sandboxed processes of this machine, which the Python manager starts. */
export async function createLocalRuntime(options: LocalRuntimeOptions): Promise<LocalRuntime> {
  const { dataDir, allowUnsandboxed, storageBytes, log } = options
  const binding = new LateBinding()
  const appsDir = join(dataDir, 'apps')
  await using started = new AsyncDisposableStack()
  const socketDir = await freshSocketDir(dataDir)
  started.defer(() => rm(socketDir, { recursive: true, force: true }))
  const logs = new AppLogs(join(dataDir, 'logs'))
  const sweeper = repeat(async () => {
    await logs.sweep().catch((error: unknown) => log.warn(error, 'could not rotate a log'))
    return LOG_SWEEP
  }, LOG_SWEEP)
  started.defer(() => sweeper.end())
  await mkdir(appsDir, { recursive: true, mode: 0o700 })
  const storage = await createStorage({ dir: join(dataDir, 'storage'), bytes: storageBytes })
  const manager = await createManager({
    python: options.python,
    runnerPath: options.runnerPath,
    allowUnsandboxed,
    freshInterpreters: options.freshInterpreters ?? false,
    network: {
      mode: options.egress.mode,
      allowed: options.egress.allowed,
      addresses: options.egress.addresses ?? null,
      mongodb: options.databases?.folder ?? null,
    },
    ...(options.databasePids && { databasePids: options.databasePids }),
    log,
  })
  started.defer(() => manager.close())
  const folders = createVersionFolders({
    root: appsDir,
    isRunning: (appId, version) => driver.runs(appId, version),
    onError: (error) => log.warn(error, 'could not delete the folders of old versions'),
  })
  const start = createStarter({
    manager,
    folders,
    logs,
    storage,
    storageBytes,
    databases: options.databases,
    limits: DEFAULT_LIMITS,
    allowUnsandboxed,
    log,
  })
  let stopGrace = STOP_GRACE
  const driver = new LocalDriver({
    specOf: (key) => binding.specOf(key),
    crashed: (key, failure) => binding.crashed(key, failure),
    died(key, { code, message }) {
      if (!SILENT_ENDS.has(code)) return
      const { appId } = parseTargetKey(key)
      logs.note(appId, message).catch((error: unknown) => log.warn(error, 'could not write to an app’s log'))
    },
    start: (spec, id, socket, onEvent) => start(spec, { id, purpose: { mode: 'serve', socket }, onEvent }),
    stop: (id) => manager.stop(id, stopGrace),
    socketPath: (id) => join(socketDir, `${id}.sock`),
  })
  const notes = startNotes({ report: manager.report, allowUnsandboxed, storageProblem: storage.problem })

  const stack = started.move()
  return {
    capabilities: {
      appsOutlivePlatform: false,
      sharedByReplicas: false,
      appsOnThisMachine: true,
      appsOnLoopback: manager.report.network?.way === 'shared',
      mustReplaceOldSecrets: true,
    },
    driver,
    report: manager.report,
    pid: () => manager.pid,
    logs: {
      tail: (appId, { lines }) => logs.tail(appId, lines),
      note: (appId, text) => logs.note(appId, text),
    },
    health: {
      notes,
      problem: () => manager.problem,
      storageProblem: () => (manager.report.minimum ? storage.problem : 'it needs the sandbox'),
      pids: () => ({ runner: manager.pid }),
    },
    trial: { check: (spec, { signal }) => checkApp(spec, signal, { manager, start }) },
    memoryOfApps: () => manager.memoryOfApps(),
    cleanup: {
      // The files belong to the version, whose next target uses them.
      removeTarget: () => Promise.resolve(),
      async removeApp(appId) {
        await folders.remove(appId)
        await logs.remove(appId)
        await storage.remove(appId)
      },
    },
    start: (given) => binding.bind(given),
    databaseRestarted: () => manager.placeProcesses(),
    async close() {
      stopGrace = CLOSE_GRACE
      driver.stopAll()
      await untilNone(driver, CLOSE_GRACE)
      await stack.disposeAsync()
    },
  }
}

/** Waits until all apps have ended, or the time is over. The manager kills the remaining ones. */
async function untilNone(driver: LocalDriver, limit: number): Promise<void> {
  const end = Date.now() + limit
  while (driver.count > 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
}
