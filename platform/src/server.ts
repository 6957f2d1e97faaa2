import type { Logger } from 'pino'
import { loadConfig, type Config } from './config.ts'
import type { StopMessage } from './gate/api-process.ts'
import { createLogger } from './logger.ts'
import { parentOf, watchParent } from './parent.ts'

/** Past the grace of requests under way, the apps and mongod get this long, ms; then the process ends with whatever still hangs. */
const STOP_RESERVE = 2_800
/** One Ctrl-C comes more than once: the terminal sends it to every process of its group, and npm passes it on. */
const SAME_SIGNAL = 500
/** How long the API of a cluster goes on after its gate has stopped taking requests, ms: some are on their way. */
const API_DELAY = 500
/** Takes turns with apps and the gate, but gives them the processor first. */
const API_NICENESS = 5

const NAMES = { all: 'fp', gate: 'The gate', api: 'The API' } as const

/** One of the two processes, or the gate with the API as its child. */
interface Running {
  readonly config: Config
  /** `grace`: what requests under way get, ms; by default what the settings say. */
  close(grace?: number): Promise<void>
}

interface Output {
  readonly logger: Logger
  /** Tells the person who starts it. */
  readonly say: (text: string) => void
}

/** The process: settings from the environment, signals, exit codes. */
async function main(): Promise<void> {
  const begun = performance.now()
  const config = loadConfig(process.env)
  const logger = createLogger(config)
  const isChild = isChildOfGate(config)
  // The API's settings are the gate's: one of the two says what it thinks of them.
  if (config.role !== 'api') for (const warning of config.warnings) logger.warn(warning)
  let stoppingSince: number | undefined
  // A bug that nobody caught leaves the process in a state that nobody knows.
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error) => {
      // The terminal is closed, or whoever read the output is gone: no reason not to stop in order.
      if (stoppingSince !== undefined && isLostOutput(error)) return
      logger.fatal({ err: error }, event)
      process.exit(1)
    })
  }
  // A terminal has a reader; a log has one event a line.
  const terminal = config.logFormat !== 'json'
  const say = (text: string): void => {
    if (isChild) return
    if (terminal) console.log(`  ${text}`)
    else logger.info(text)
  }
  const starting = start(config, { logger, say })
  const stop = (why: string, grace?: number): void => {
    stoppingSince = performance.now()
    if (terminal && !isChild) console.log('')
    say(why)
    const limit = config.shutdownDelay + config.shutdownGrace + STOP_RESERVE
    setTimeout(() => process.exit(1), limit).unref()
    // One that still starts is let come up: half a start cannot be stopped in order.
    void starting.then((running) => running.close(grace)).then(() => process.exit(0))
  }
  // SIGHUP: the terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // A terminal sends its signals to the child too. The gate tells the child when it is time.
      if (isChild) return
      if (stoppingSince === undefined)
        stop('Stopping: requests under way are answered first. Ctrl-C again stops at once.')
      else if (performance.now() - stoppingSince > SAME_SIGNAL && signal !== 'SIGHUP') process.exit(130)
    })
  }
  const parent = parentOf(process.argv)
  if (parent !== undefined)
    watchParent(parent, () => {
      if (stoppingSince === undefined) stop('Stopping, because npm has ended.')
    })
  if (isChild) {
    process.on('message', ({ grace }: StopMessage) => stop('', grace))
    // The gate has ended without a word: nobody can reach this process any more.
    process.on('disconnect', () => process.exit(1))
  }
  const running = await starting
  if (stoppingSince !== undefined) return
  if (isChild) return void process.send?.('ready')
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  const ready = `${NAMES[running.config.role]} is ready (${seconds} s)`
  const places = placesOf(running.config)
  if (terminal) console.log(welcome(ready, places))
  else logger.info(places, ready)
}

async function start(config: Config, output: Output): Promise<Running> {
  if (config.role === 'api') return startApiRole(config, output)
  if (config.role === 'gate') return startGateRole(config, output)
  return startBoth(config, output)
}

/** The gate, and the API as its child. Each process loads the code of its own role alone. */
async function startBoth(config: Config, { logger, say }: Output): Promise<Running> {
  const { startGate } = await import('./gate/start.ts')
  const { startApiProcess } = await import('./gate/api-process.ts')
  let api: ReturnType<typeof startApiProcess> | undefined
  const running = await startGate(config, {
    logger,
    onStep: say,
    // While MongoDB and the runner start, the API's process loads its code.
    onChannel() {
      api = startApiProcess({
        script: process.argv[1]!,
        execArgv: process.execArgv,
        env: { ...process.env, FP_ROLE: 'api' },
        niceness: API_NICENESS,
        onEnd: ({ error, ...end }) =>
          logger.error({ ...end, err: error }, 'the API ended; starting it again'),
        onRestart: () => logger.info('the API is up again'),
      })
      api.catch(() => undefined)
    },
  })
  const close = (): Promise<void> =>
    running.close({ apiDone: async (grace) => (await api?.catch(() => undefined))?.stop(grace) })
  try {
    await api
    await running.listen()
  } catch (error) {
    await close()
    throw error
  }
  return { config: running.config, close }
}

/** The gate alone: the API is another container of the pod. */
async function startGateRole(config: Config, { logger, say }: Output): Promise<Running> {
  const { startGate } = await import('./gate/start.ts')
  const running = await startGate(config, { logger, onStep: say })
  await running.listen()
  return { config: running.config, close: () => running.close({ apiDone: async () => undefined }) }
}

async function startApiRole(config: Config, { logger }: Output): Promise<Running> {
  const { connectGate } = await import('./gate/channel/client.ts')
  const { channelSockets } = await import('./gate/channel/folder.ts')
  const { startApi } = await import('./api/start.ts')
  const { gate: socket } = await channelSockets(config.dataDir)
  const gate = await connectGate(socket, {
    onError: (error) => logger.warn({ err: error }, 'the gate does not answer; trying again'),
  })
  const api = await startApi(config, { gate, logger })
  return {
    config,
    async close(grace) {
      // The gate tells its child when it takes no more requests; in a cluster both are told to stop at once.
      if (grace === undefined) await new Promise((done) => setTimeout(done, config.shutdownDelay + API_DELAY))
      await api.close({ grace: grace ?? config.shutdownGrace })
      await gate[Symbol.asyncDispose]()
    },
  }
}

/** The API of an installation whose gate has started it. `node --watch` gives every role a channel to its parent. */
function isChildOfGate({ role }: Config): boolean {
  return role === 'api' && process.send !== undefined
}

function isLostOutput(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return syscall === 'write' && (code === 'EPIPE' || code === 'EIO')
}

interface Places {
  readonly console: string
  readonly apps: string
  readonly data: string
}

function placesOf({ publicUrl, appDomain, dataDir }: Config): Places {
  const { protocol } = new URL(publicUrl)
  return { console: publicUrl, apps: `${protocol}//app-<id>.${appDomain}`, data: dataDir }
}

function welcome(ready: string, places: Places): string {
  return [
    '',
    `  ${ready}`,
    '',
    `  Console and API   ${places.console}`,
    `  Apps              ${places.apps}`,
    `  Data              ${places.data}`,
    '',
    '  Ctrl-C stops it.',
    '',
  ].join('\n')
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    // Errors at start are written for the person who starts it; a bug shows its stack.
    const isBug = error instanceof TypeError || error instanceof ReferenceError
    console.error(isBug ? error : `\n${(error as Error).message}\n`)
    process.exit(1)
  })
}
