import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { readMessages } from '../../lines.ts'
import type { AppsMemory } from '../runtime.ts'
import { readMemory } from './apps-memory.ts'
import { refusal, weakness } from './isolation.ts'
import type {
  Exited,
  Hello,
  InstanceEvent,
  NetworkSettings,
  ManagerRequest,
  IsolationReport,
  StartRequest,
  ManagerEvent,
} from './protocol.ts'

export interface ManagerOptions {
  /** The Python interpreter of the runner's environment. */
  readonly python: string
  /** The folder that holds the package `fp_runner`. */
  readonly runnerPath: string
  /** Run apps even if the required minimum of the sandbox is not available. */
  readonly allowUnsandboxed: boolean
  /** Give each app an interpreter of its own in place of a fork of the shared zygote. */
  readonly freshInterpreters: boolean
  /** What apps may reach. */
  readonly network: NetworkSettings
  /** The ids of the database's processes, if the platform runs the database. Their share of the processor is reserved. */
  readonly databasePids?: () => readonly number[]
  readonly log: Logger
}

export interface Manager {
  readonly report: IsolationReport
  readonly python: string
  /** The memory that all apps use, and may use. Undefined: nothing counts it. */
  memoryOfApps(): Promise<AppsMemory | undefined>
  /** Why no manager runs at the moment: one that died is being replaced. Undefined: a manager runs. */
  readonly problem: string | undefined
  /** Changes when the manager is replaced. */
  readonly pid: number
  /**
   * Sends a request. `onEvent` receives all events of the instance until `exited`, which comes even if the manager dies.
   * If `signal` is aborted before the request is sent, this rejects and the instance is never started.
   */
  start(request: StartRequest, onEvent: (event: InstanceEvent) => void, signal?: AbortSignal): Promise<void>
  stop(id: string, graceMs: number): void
  kill(id: string): void
  /** Gives the platform and the database their shares of the processor. Call it again after the database restarted. */
  placeProcesses(): void
  close(): Promise<void>
}

/** ms for a manager to send `hello`. */
const HELLO_TIMEOUT = 30_000
/** ms between the end of a manager and the next start. It doubles with each start that fails. */
const RESPAWN_DELAY = 500
const LONGEST_RESPAWN_DELAY = 30_000

interface Running {
  readonly child: ChildProcess
  readonly control: Duplex
  readonly hello: Hello
}

/** Starts the manager, restarts it when it dies, and passes its events to the callers that started the instances. */
export async function createManager(options: ManagerOptions): Promise<Manager> {
  const { log } = options
  const listeners = new Map<string, (event: InstanceEvent) => void>()
  /** Requests without an event so far, by instance. If the manager dies, the next one gets them: nothing was started. */
  const unanswered = new Map<string, StartRequest>()
  const closing = new AbortController()
  let problem: string | undefined
  let pid = 0
  let first: Hello | undefined
  let current: Promise<Running> = launch()
  const { isolation: report, python } = (first = (await current).hello)

  function launch(): Promise<Running> {
    const child = spawn(options.python, commandOf(options), {
      env: {
        PYTHONPATH: options.runnerPath,
        PATH: '/usr/local/bin:/usr/bin:/bin',
        LANG: 'C.UTF-8',
        FP_NETWORK: JSON.stringify(options.network),
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // A process group of its own, so that Ctrl-C in the terminal reaches only the platform, which stops everything in order.
      detached: true,
    })
    const control = child.stdio[3] as Duplex
    for (const stream of [child.stdout!, child.stderr!]) {
      // An error without a listener would end the platform. The end of the process is enough to know.
      stream.on('error', () => undefined)
      const lines = createInterface({ input: stream }).on('error', () => undefined)
      lines.on('line', (line) => log.warn({ runner: child.pid }, line))
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), HELLO_TIMEOUT)
      let failed = true
      let objection: string | undefined
      // A manager exits when its control channel ends.
      readMessages<ManagerEvent>(control, {
        onMessage(event) {
          if (event.event !== 'hello') return deliver(event)
          clearTimeout(timer)
          objection = first ? weakness(first.isolation, event.isolation) : refusal(event.isolation)
          if (objection !== undefined) return void control.destroy()
          failed = false
          pid = event.pid
          resolve({ child, control, hello: event })
          placeProcesses()
        },
        onInvalid({ message }) {
          objection = `The runner cannot be understood, so it is ended. ${message}`
          log.error({ runner: child.pid }, objection)
        },
      })
      child.once('error', (error) =>
        reject(new Error(`The runner's Python cannot be started: ${error.message}`)),
      )
      child.once('close', (code, signal) => {
        clearTimeout(timer)
        if (!failed) return died(code, signal)
        const ended = `The runner ended before it was ready (${signal ?? `exit code ${code}`}).`
        reject(new Error(objection ?? ended))
      })
    })
  }

  function died(code: number | null, signal: NodeJS.Signals | null): void {
    if (!closing.signal.aborted) log.error({ code, signal }, 'the runner has ended; starting another')
    const isClosing = closing.signal.aborted
    for (const id of [...listeners.keys()]) if (isClosing || !unanswered.has(id)) deliver(lost(id))
    if (isClosing) return
    problem = 'the runner is being restarted'
    current = relaunch().then((running) => {
      for (const request of unanswered.values()) write(running, request)
      return running
    })
    current.then(
      () => (problem = undefined),
      () => undefined,
    )
  }

  async function relaunch(): Promise<Running> {
    for (let pause = RESPAWN_DELAY; ; pause = Math.min(2 * pause, LONGEST_RESPAWN_DELAY)) {
      await delay(pause, undefined, { signal: closing.signal })
      try {
        return await launch()
      } catch (error) {
        if (closing.signal.aborted) throw error
        log.error(error, 'the runner does not start')
        problem = `the runner does not start: ${(error as Error).message}`
      }
    }
  }

  function deliver(event: InstanceEvent): void {
    const listener = listeners.get(event.id)
    unanswered.delete(event.id)
    if (event.event === 'exited') listeners.delete(event.id)
    listener?.(event)
  }

  function placeProcesses(): void {
    const database = options.databasePids?.() ?? []
    void Promise.all([
      send({ op: 'place', group: 'platform', pid: process.pid }),
      ...database.map((pid) => send({ op: 'place', group: 'mongodb', pid })),
    ]).catch(() => undefined)
  }

  async function send(request: ManagerRequest): Promise<void> {
    write(await current, request)
  }

  return {
    report,
    python,
    async memoryOfApps() {
      const { hello } = await current
      return hello.memory ? readMemory(hello.memory) : undefined
    },
    get pid() {
      return pid
    },
    get problem() {
      return problem
    },
    async start(request, onEvent, signal) {
      if (closing.signal.aborted) throw new Error('The runtime is shutting down.')
      const running = await beforeAbort(current, signal)
      listeners.set(request.id, onEvent)
      unanswered.set(request.id, request)
      // Written at once, so that the kill of a later abort follows the request.
      write(running, request)
    },
    stop: (id, graceMs) => void send({ op: 'stop', id, grace_ms: graceMs }).catch(() => undefined),
    kill: (id) => void send({ op: 'kill', id }).catch(() => undefined),
    placeProcesses,
    async close() {
      closing.abort()
      const running = await current.catch(() => undefined)
      if (!running || running.child.exitCode !== null || running.child.signalCode !== null) return
      const closed = new Promise((resolve) => running.child.once('close', resolve))
      // The end of the control channel tells the manager to kill all apps and to exit.
      running.control.end()
      running.control.destroy()
      await closed
    },
  }
}

function write({ control }: Running, request: ManagerRequest): void {
  control.write(`${JSON.stringify(request)}\n`)
}

/** Resolves like the promise, but rejects as soon as `signal` aborts. */
async function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  const done = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { signal: done.signal })
  })
  signal.throwIfAborted()
  try {
    const value = await Promise.race([promise, aborted])
    signal.throwIfAborted()
    return value
  } finally {
    done.abort()
  }
}

function commandOf({ allowUnsandboxed, freshInterpreters }: ManagerOptions): string[] {
  const command = ['-s', '-P', '-m', 'fp_runner.manager']
  if (allowUnsandboxed) command.push('--allow-unsandboxed')
  if (freshInterpreters) command.push('--fresh-interpreters')
  return command
}

function lost(id: string): Exited {
  return {
    event: 'exited',
    id,
    code: null,
    signal: 'SIGKILL',
    reason: 'lost',
    message: 'The runner ended, and with it all apps.',
  }
}
