import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Egress } from '../../egress.ts'
import { newId } from '../../ids.ts'
import { LateBinding } from '../binding.ts'
import {
  plainFailure,
  type AppFailureReport,
  type AppSpec,
  type CheckResult,
  type Runtime,
} from '../runtime.ts'
import { containerFacts, containerFlags } from './container.ts'
import { LocalDriver } from './driver.ts'
import { createVersionFolders } from './files.ts'
import { fullReport } from './instance.ts'
import { AppLogs } from './logs.ts'
import { openDatabase, type DatabaseSockets } from './database.ts'
import type { InstanceEvent, Limits, IsolationReport, StartRequest } from './protocol.ts'
import { parseTargetKey } from '../targets.ts'
import { createManager } from './manager.ts'
import { createStorage } from './storage.ts'

export interface LocalRuntimeOptions {
  readonly dataDir: string
  readonly python: string
  readonly runnerPath: string
  /** Run apps even where the required minimum of the sandbox is not available. */
  readonly allowUnsandboxed: boolean
  /** Give each app an interpreter of its own in place of a fork of the shared zygote. */
  readonly freshInterpreters?: boolean
  /** What apps may reach. */
  readonly egress: Egress
  /** The processes of the database, if the platform runs it. */
  readonly databasePids?: () => readonly number[]
  /** How apps reach MongoDB; without it over their network. */
  readonly databases?: DatabaseSockets
  readonly limits?: Partial<Limits>
  /** Bytes that an app may keep in its storage. */
  readonly storageBytes: number
  readonly log: Logger
}

export interface LocalRuntime extends Runtime {
  readonly report: IsolationReport
  /** The manager's; another one after it was replaced. */
  pid(): number
}

export const DEFAULT_LIMITS: Limits = {
  memory_bytes: 512 * 1024 * 1024,
  pids: 64,
  file_bytes: 64 * 1024 * 1024,
  tmp_bytes: 64 * 1024 * 1024,
  open_files: 1024,
  start_seconds: 20,
}

/** Apps get the uids from here on, one each: process limits count per uid. */
const FIRST_UID = 200_000
/** What a stopping app may take to answer what it has. */
const STOP_GRACE = 30_000
/** The same when the whole platform stops and its user waits at the prompt. */
const CLOSE_GRACE = 1_500
/** How often logs that have grown are put aside, ms. */
const LOG_SWEEP = 30_000
/** What an app does not say itself in its log. */
const UNTOLD = new Set(['FP_APP_CRASHED', 'FP_APP_OUT_OF_MEMORY', 'FP_APP_START_TIMEOUT'])
/** Linux refuses longer paths of sockets. */
const MAX_SOCKET_PATH = 107

/** Apps as sandboxed processes of this machine, forked from a Python manager. */
export async function createLocalRuntime(options: LocalRuntimeOptions): Promise<LocalRuntime> {
  const { dataDir, log } = options
  const binding = new LateBinding()
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const appsDir = join(dataDir, 'apps')
  const socketDir = await freshSocketDir(dataDir)
  const logs = new AppLogs(join(dataDir, 'logs'))
  const sweeper = setInterval(() => {
    logs.sweep().catch((error: unknown) => log.warn(error, 'could not put a log aside'))
  }, LOG_SWEEP).unref()
  await mkdir(appsDir, { recursive: true, mode: 0o700 })
  const { storageBytes } = options
  const storage = await createStorage({ dir: join(dataDir, 'storage'), bytes: storageBytes })
  const manager = await createManager({
    python: options.python,
    runnerPath: options.runnerPath,
    allowUnsandboxed: options.allowUnsandboxed,
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
  let stopGrace = STOP_GRACE
  const folders = createVersionFolders({
    root: appsDir,
    isRunning: (appId, version) => driver.runs(appId, version),
    onError: (error) => log.warn(error, 'could not delete the folders of old versions'),
  })

  async function startRequest(
    spec: AppSpec,
    id: string,
    env: StartRequest['env'],
    rest: Pick<StartRequest, 'mode'> & Partial<StartRequest>,
  ): Promise<StartRequest> {
    requireSandbox()
    const uid = FIRST_UID + spec.sequence
    const [app_dir, logFile] = await Promise.all([folders.of(spec), logs.prepare(spec.appId)])
    return {
      op: 'start',
      id,
      app_dir,
      entrypoint: spec.entrypoint,
      env,
      log: logFile,
      uid,
      gid: uid,
      user: spec.ownerId,
      limits,
      ...rest,
    }
  }

  async function start(
    spec: AppSpec,
    id: string,
    rest: Pick<StartRequest, 'mode'> & Partial<StartRequest>,
    onEvent: (event: InstanceEvent) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const database = await openDatabase(spec, onEvent, options.databases, manager.report.minimum)
    try {
      await send(spec, await startRequest(spec, id, database.env, rest), database.onEvent, signal)
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** Sends the request. Storage is held until the app has mounted it, or has ended. */
  async function send(
    spec: AppSpec,
    given: StartRequest,
    onEvent: (event: InstanceEvent) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!spec.storage) return manager.start(given, onEvent, signal)
    const attached = await storage.attach(spec.appId, given.uid)
    const release = (): void => {
      attached.release().catch((error: unknown) => log.warn(error, 'could not let go of an app’s storage'))
    }
    // One file may fill it.
    const file_bytes = Math.max(limits.file_bytes, storageBytes)
    const withStorage = { ...given, storage: attached.device, limits: { ...limits, file_bytes } }
    const releasing = (event: InstanceEvent): void => {
      const entered = event.event === 'phase' && event.phase !== 'forked'
      if (entered || event.event === 'exited') release()
      onEvent(event)
    }
    try {
      await manager.start(withStorage, releasing, signal)
    } catch (error) {
      release()
      throw error
    }
  }

  function requireSandbox(): void {
    if (manager.report.minimum || options.allowUnsandboxed) return
    const missing = manager.report.missing.map(({ mechanism, why }) => `${mechanism} (${why})`).join(', ')
    throw new Error(
      `Apps cannot run here: the sandbox lacks ${missing}. Set FP_ALLOW_UNSANDBOXED=1 to run them without.`,
    )
  }

  const driver = new LocalDriver({
    specOf: (key) => binding.specOf(key),
    crashed: (key, failure) => binding.crashed(key, failure),
    died(key, { code, message }) {
      if (!UNTOLD.has(code)) return
      const { appId } = parseTargetKey(key)
      logs.note(appId, message).catch((error: unknown) => log.warn(error, 'could not write to an app’s log'))
    },
    start: (spec, id, socket, onEvent) => start(spec, id, { mode: 'serve', socket }, onEvent),
    stop: (id) => manager.stop(id, stopGrace),
    socketPath: (id) => join(socketDir, `${id}.sock`),
  })

  async function check(spec: AppSpec, { signal }: { signal: AbortSignal }): Promise<CheckResult> {
    signal.throwIfAborted()
    const id = newId('check')
    return new Promise((resolve, reject) => {
      let failure: AppFailureReport | undefined
      let loaded = false
      const abort = (): void => manager.kill(id)
      signal.addEventListener('abort', abort, { once: true })
      const onEvent = (event: InstanceEvent): void => {
        if (event.event === 'checked') loaded = true
        if (event.event === 'failed') failure = fullReport(event.failure)
        if (event.event !== 'exited') return
        signal.removeEventListener('abort', abort)
        if (signal.aborted) reject(signal.reason as Error)
        else if (loaded) resolve({ ok: true })
        else
          resolve({
            ok: false,
            failure: failure ?? plainFailure('FP_APP_CRASHED', event.message),
          })
      }
      start(spec, id, { mode: 'check' }, onEvent, signal).catch((error: unknown) => {
        signal.removeEventListener('abort', abort)
        reject(error as Error)
      })
    })
  }

  return {
    capabilities: {
      appsOutlivePlatform: false,
      sharedByReplicas: false,
      appsOnThisMachine: true,
      appsOnLoopback: manager.report.network?.way === 'shared',
      appsSharedMemoryOnce: true,
    },
    driver,
    report: manager.report,
    pid: () => manager.pid,
    logs: {
      tail: (appId, { lines }) => logs.tail(appId, lines),
      note: (appId, text) => logs.note(appId, text),
    },
    health: {
      notes: [
        ...isolationNotes(manager.report, options.allowUnsandboxed),
        ...(storage.problem
          ? [`app storage: not available here: ${storage.problem}. Apps keep their data in the database.`]
          : []),
      ],
      problem: () => manager.problem,
      storageProblem: () => (manager.report.minimum ? storage.problem : 'it needs the sandbox'),
      pids: () => ({ runner: manager.pid }),
    },
    trial: { check },
    cleanup: {
      // The files belong to the version, and its next target uses them.
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
      clearInterval(sweeper)
      stopGrace = CLOSE_GRACE
      driver.stopAll()
      await untilNone(driver, CLOSE_GRACE)
      await manager.close()
      await rm(socketDir, { recursive: true, force: true })
    },
  }
}

/** What the sandbox cannot do here, for the person who starts the platform. */
function isolationNotes(report: IsolationReport, allowUnsandboxed: boolean): string[] {
  const notes = [
    ...report.missing.map(({ mechanism, why, effect }) => `sandbox: no ${mechanism} (${why}): ${effect}`),
    ...(report.network?.notes ?? []).map((note) => `network of apps: ${note}`),
  ]
  if (report.minimum) return notes
  if (allowUnsandboxed) {
    const lack = 'sandbox: the required minimum is not available here'
    return [...notes, `${lack}; FP_ALLOW_UNSANDBOXED=1 lets apps run without it`]
  }
  const facts = containerFacts()
  const flags = facts ? containerFlags(report, facts) : []
  return [
    ...notes,
    ...flags.map((flag) => `sandbox: add to docker run: ${flag}`),
    `sandbox: the required minimum is not available here, so no app will run. ${flags.length > 0 ? 'Add the flags above' : 'Start fp as root'}, or set FP_ALLOW_UNSANDBOXED=1 where all code is your own.`,
  ]
}

/** The manager kills what is left, so this only gives the polite ones their time. */
async function untilNone(driver: LocalDriver, limit: number): Promise<void> {
  const end = Date.now() + limit
  while (driver.count > 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** An empty folder that only the platform can enter; sockets of an earlier run are gone with it. */
async function freshSocketDir(dataDir: string): Promise<string> {
  const inData = join(dataDir, 'run')
  const longest = join(inData, `${'x'.repeat(48)}.sock`)
  const folder = longest.length <= MAX_SOCKET_PATH ? inData : join(tmpdir(), newId('fp'))
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return folder
}
