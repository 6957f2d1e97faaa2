import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import type { Exited, Hello, InstanceEvent, Order, SandboxReport, ZygoteEvent } from './protocol.ts'

export interface ZygoteOptions {
  /** The Python of the runner's environment. */
  readonly python: string
  /** The folder that holds the package `fp_runner`. */
  readonly runnerPath: string
  /** Let apps run where the sandbox's minimum is not to be had. */
  readonly allowUnsandboxed: boolean
  readonly log: Logger
}

export interface Zygote {
  readonly report: SandboxReport
  readonly python: string
  /** False while a zygote that died is being replaced. */
  readonly up: boolean
  /** The process that all apps of the moment descend from. */
  readonly pid: number
  /** Sends an order; `onEvent` hears all of its instance until `exited`, which comes even if the zygote dies. */
  start(order: Extract<Order, { op: 'start' }>, onEvent: (event: InstanceEvent) => void): Promise<void>
  stop(id: string, graceMs: number): void
  kill(id: string): void
  close(): Promise<void>
}

/** A zygote that cannot say hello within this is broken. */
const HELLO_TIMEOUT = 30_000
/** Between deaths of the zygote, so that a broken Python does not spin. */
const RESPAWN_DELAY = 500

interface Running {
  readonly child: ChildProcess
  readonly control: Duplex
  readonly hello: Hello
}

/** Starts the zygote, restarts it when it dies, and routes its events to those who started the instances. */
export async function createZygote(options: ZygoteOptions): Promise<Zygote> {
  const { log } = options
  const listeners = new Map<string, (event: InstanceEvent) => void>()
  let closing = false
  let up = true
  let pid = 0
  let current: Promise<Running> = launch()
  const first = await current

  function launch(): Promise<Running> {
    const child = spawn(
      options.python,
      ['-s', '-P', '-m', 'fp_runner.zygote', ...(options.allowUnsandboxed ? ['--allow-unsandboxed'] : [])],
      {
        env: { PYTHONPATH: options.runnerPath, PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' },
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        // A group of its own: Ctrl-C in the terminal is the platform's to answer, in order.
        detached: true,
      },
    )
    const control = child.stdio[3] as Duplex
    control.on('error', () => undefined)
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => log.warn({ zygote: child.pid }, line))
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), HELLO_TIMEOUT)
      let failed = true
      createInterface({ input: control }).on('line', (line) => {
        const event = JSON.parse(line) as ZygoteEvent
        if (event.event !== 'hello') return deliver(event)
        clearTimeout(timer)
        failed = false
        pid = event.pid
        resolve({ child, control, hello: event })
      })
      child.once('error', (error) =>
        reject(new Error(`The runner's Python cannot be started: ${error.message}`)),
      )
      child.once('close', (code, signal) => {
        clearTimeout(timer)
        if (failed)
          reject(new Error(`The runner ended before it was ready (${signal ?? `exit code ${code}`}).`))
        else died(code, signal)
      })
    })
  }

  function died(code: number | null, signal: NodeJS.Signals | null): void {
    if (!closing) log.error({ code, signal }, 'the zygote has ended; starting another')
    for (const id of [...listeners.keys()]) deliver(orphaned(id))
    if (closing) return
    up = false
    current = relaunch()
    current.then(
      () => (up = true),
      () => undefined,
    )
  }

  async function relaunch(): Promise<Running> {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RESPAWN_DELAY))
      try {
        return await launch()
      } catch (error) {
        if (closing) throw error
        log.error(error, 'the zygote does not start')
      }
    }
  }

  function deliver(event: InstanceEvent): void {
    const listener = listeners.get(event.id)
    if (event.event === 'exited') listeners.delete(event.id)
    listener?.(event)
  }

  async function send(order: Order): Promise<void> {
    const { control } = await current
    control.write(`${JSON.stringify(order)}\n`)
  }

  return {
    report: first.hello.sandbox,
    python: first.hello.python,
    get pid() {
      return pid
    },
    get up() {
      return up
    },
    async start(order, onEvent) {
      if (closing) throw new Error('The runtime is shutting down.')
      await current
      listeners.set(order.id, onEvent)
      await send(order)
    },
    stop: (id, graceMs) => void send({ op: 'stop', id, grace_ms: graceMs }).catch(() => undefined),
    kill: (id) => void send({ op: 'kill', id }).catch(() => undefined),
    async close() {
      closing = true
      const running = await current.catch(() => undefined)
      if (!running || running.child.exitCode !== null || running.child.signalCode !== null) return
      const closed = new Promise((resolve) => running.child.once('close', resolve))
      // The end of its control channel tells the zygote to take its children with it.
      running.control.end()
      running.control.destroy()
      await closed
    },
  }
}

function orphaned(id: string): Exited {
  return {
    event: 'exited',
    id,
    code: null,
    signal: 'SIGKILL',
    reason: 'killed',
    message: 'The runner was restarted.',
  }
}
