import { spawn, type ChildProcess } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import path from 'node:path'
import { keepRunning } from '../keep-running.ts'
import { readMessages } from '../lines.ts'
import type { Log } from '../logger.ts'

/** Characters of a socket's name: 96 bits, so that nobody can guess it. */
const SECRET_LENGTH = 16

export interface RelayOptions {
  readonly python: string
  /** The folder that holds the Python package `fp_runner`. */
  readonly runnerPath: string
  /** MongoDB's socket, or its `host:port` on this machine's loopback. */
  readonly upstream: string
  /** The folder for the sockets of apps. It must contain nothing else. */
  readonly folder: string
  /** Limits for the connections of one app, and of all apps together. */
  readonly perApp: number
  readonly total: number
  /** An app has opened more connections than it may have, `count` times since the last call. */
  readonly onRefused?: (app: string, refused: { count: number; open: number }) => void
  /** Commands of an app were not passed on, `count` times since the last call. Their connections were closed. */
  readonly onForbidden?: (app: string, forbidden: { count: number; reason: string }) => void
  readonly log: Pick<Log, 'warn'>
}

/** Forwards apps' connections to MongoDB in a process of its own, and limits how many each app has. */
export interface Relay extends AsyncDisposable {
  /** The folder that apps' sandboxes must see. Each app has a socket of its own in it, and no app can list the folder. */
  readonly folder: string
  /** Opens the app's socket for MongoDB. Close each result. */
  open(app: string): Promise<RelaySocket>
  pid(): number
}

export interface RelaySocket {
  /** The socket's name in the folder. Only the app knows it. */
  readonly name: string
  close(): void
}

type Event =
  | { event: 'ready' }
  | { event: 'opened'; app: string }
  | { event: 'failed'; app: string; message: string }
  | { event: 'refused'; app: string; count: number; open: number }
  | { event: 'forbidden'; app: string; count: number; reason: string }

interface Open {
  users: number
  readonly name: string
  ready: PromiseWithResolvers<void>
}

interface RunningRelay {
  readonly pid: number
  readonly ended: Promise<string>
  send(message: object): void
  stop(): Promise<void>
}

export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { folder, log } = options
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  // All users of apps may enter the folder and none may list it, even if apps run as the platform's own user.
  await chmod(folder, 0o311)
  const secret = randomBytes(32)
  const opened = new Map<string, Open>()

  async function launch(): Promise<RunningRelay> {
    const child = spawn(
      options.python,
      ['-s', '-P', '-m', 'fp_runner.relay', options.upstream, String(options.perApp), String(options.total)],
      {
        env: { PYTHONPATH: options.runnerPath, PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' },
        stdio: ['pipe', 'pipe', 'pipe'],
        // So that Ctrl-C in the terminal reaches only the platform, which stops everything in order.
        detached: true,
      },
    )
    child.stdin.on('error', () => undefined)
    createInterface({ input: child.stderr }).on('line', (line) => log.warn({ relay: child.pid }, line))
    const ready = Promise.withResolvers<void>()
    readMessages<Event>(child.stdout, {
      onMessage(event) {
        if (event.event === 'ready') ready.resolve()
        else handle(event)
      },
      onInvalid({ message }) {
        log.warn({ relay: child.pid }, `The relay cannot be understood, so it is ended. ${message}`)
        child.kill()
      },
    })
    const ended = endOf(child)
    const running: RunningRelay = {
      pid: child.pid ?? 0,
      ended,
      send: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`),
      async stop() {
        child.kill()
        await ended
      },
    }
    void ended.then((how) =>
      ready.reject(new Error(`The relay to MongoDB ended before it was ready (${how}).`)),
    )
    await ready.promise
    for (const [app, { name }] of opened) running.send({ op: 'open', app, path: path.join(folder, name) })
    return running
  }

  function handle(event: Exclude<Event, { event: 'ready' }>): void {
    if (event.event === 'refused') options.onRefused?.(event.app, event)
    else if (event.event === 'forbidden') options.onForbidden?.(event.app, event)
    else if (event.event === 'opened') opened.get(event.app)?.ready.resolve()
    else opened.get(event.app)?.ready.reject(new Error(`No socket for its database: ${event.message}`))
  }

  const kept = await keepRunning({
    launch,
    onEnd: ({ error, ...end }) =>
      log.warn({ ...end, err: error }, 'the relay to MongoDB ended; starting it again'),
  })

  function close(app: string): void {
    const entry = opened.get(app)
    if (!entry || --entry.users > 0) return
    opened.delete(app)
    kept.current().send({ op: 'close', app })
  }

  return {
    folder,
    pid: () => kept.current().pid,
    async open(app) {
      let entry = opened.get(app)
      if (!entry) {
        const name = nameOf(secret, app)
        entry = { users: 0, name, ready: Promise.withResolvers() }
        opened.set(app, entry)
        kept.current().send({ op: 'open', app, path: path.join(folder, name) })
      }
      entry.users++
      let isOpen = true
      const socket: RelaySocket = {
        name: entry.name,
        close() {
          if (isOpen) close(app)
          isOpen = false
        },
      }
      try {
        await entry.ready.promise
      } catch (error) {
        socket.close()
        throw error
      }
      return socket
    },
    [Symbol.asyncDispose]: async () => {
      await kept.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Ends with `.sock`, by which drivers recognize a socket. */
function nameOf(secret: Buffer, app: string): string {
  return `${createHmac('sha256', secret).update(app).digest('base64url').slice(0, SECRET_LENGTH)}.sock`
}

async function endOf(child: ChildProcess): Promise<string> {
  const failed = once(child, 'error').then(([error]) => (error as Error).message)
  const exited = once(child, 'exit').then(() => child.signalCode ?? `exit code ${child.exitCode}`)
  return Promise.race([exited, failed])
}
