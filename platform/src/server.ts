import type { Logger } from 'pino'
import { loadConfig, type Config } from './config.ts'
import type { StopMessage } from './gate/api-process.ts'
import { createLogger } from './logger.ts'
import { parentOf, watchParent } from './parent.ts'

/** Time to stop after the grace period of requests, in ms: 2.5 s for the API, 1.5 s for apps, 10 s for mongod. Then it exits. */
const STOP_RESERVE = 15_000
/** How long a stop waits for a start that is under way, in ms: an incomplete start cannot be stopped in order. */
const START_PATIENCE = 30_000
/** Signals within this time, in ms, are one Ctrl-C: the terminal sends it to all processes of its group, and npm forwards it. */
const SAME_SIGNAL = 500
/** How long the API of a cluster goes on after its gate accepts no more requests, in ms, as some are still on their way. */
const API_DELAY = 500
/** A lower priority than that of apps and the gate. */
const API_NICENESS = 5

const NAMES = { all: 'fp', gate: 'The gate', api: 'The API' } as const

/** One of the two processes, or the gate with the API as its child. */
interface Running {
  readonly config: Config
  /** `grace`: how long running requests may take, in ms. Default: the settings. */
  close(grace?: number): Promise<void>
}

interface Output {
  readonly logger: Logger
  /** Shows a text to the person who starts the platform. */
  readonly say: (text: string) => void
}

/** Runs the process: settings from the environment, signals, exit codes. */
async function main(): Promise<void> {
  const begun = performance.now()
  const config = loadConfig(process.env)
  const logger = createLogger(config)
  const isChild = isChildOfGate(config)
  // The API has the settings of the gate, so only the gate logs the warnings.
  if (config.role !== 'api') for (const warning of config.warnings) logger.warn(warning)
  let stoppingSince: number | undefined
  // After an uncaught error the process is in an unknown state.
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error) => {
      // The terminal was closed or the reader of the output has ended. The platform still stops in order.
      if (stoppingSince !== undefined && isLostOutput(error)) return
      logger.fatal({ err: error }, event)
      process.exit(1)
    })
  }
  // On a terminal a person reads the texts; a JSON log has one event per line.
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
    const exitAfter = (ms: number): NodeJS.Timeout => setTimeout(() => process.exit(1), ms).unref()
    const patience = exitAfter(START_PATIENCE)
    void starting
      .then((running) => {
        clearTimeout(patience)
        exitAfter(config.shutdownDelay + (grace ?? config.shutdownGrace) + STOP_RESERVE)
        return running.close(grace)
      })
      .then(() => process.exit(0))
  }
  // SIGHUP: the terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (isChild) return signalToChild(signal, logger)
      if (stoppingSince === undefined)
        stop(
          `Stopping: requests under way are answered first, for up to ${config.shutdownGrace / 1000} s. Ctrl-C again stops at once.`,
        )
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
    // The gate has ended unexpectedly, so nobody can reach this process any more.
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

/** Starts the gate, and the API as its child. Each process loads only the code of its own role. */
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
    freeGarbage()
    await api
    await running.listen()
  } catch (error) {
    await close()
    throw error
  }
  return { config: running.config, close }
}

/** Starts only the gate. The API is another container of the pod. */
async function startGateRole(config: Config, { logger, say }: Output): Promise<Running> {
  const { startGate } = await import('./gate/start.ts')
  const running = await startGate(config, { logger, onStep: say })
  const close = (): Promise<void> => running.close({ apiDone: async () => undefined })
  try {
    freeGarbage()
    await running.listen()
  } catch (error) {
    await close()
    throw error
  }
  return { config: running.config, close }
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
  freeGarbage()
  return {
    config,
    async close(grace) {
      // The gate tells its child when it accepts no more requests. In a cluster gate and API get the stop signal at once.
      if (grace === undefined) await new Promise((done) => setTimeout(done, config.shutdownDelay + API_DELAY))
      await api.close({ grace: grace ?? config.shutdownGrace })
      await gate[Symbol.asyncDispose]()
    },
  }
}

/**
 * Frees what only the start needed, with the bytecode of functions that are not in use. V8 does this by itself only when the heap has
 * grown, so in an idle process never. Takes up to 0.1 s, so it is called before clients can connect. `platform/node.sh` makes `gc` available.
 */
function freeGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}

/** The child stops only when the gate tells it to. A terminal sends its own signals, SIGINT and SIGHUP, to the child too. */
function signalToChild(signal: NodeJS.Signals, logger: Logger): void {
  if (signal !== 'SIGTERM') return
  logger.info(
    `The API ignores SIGTERM, as its gate stops it. To stop both, stop the gate (process ${process.ppid}). To end the API alone, use kill -9 ${process.pid}; the gate then starts it again.`,
  )
}

/** Whether a gate has started this API. Checks the role too, as `node --watch` gives every role a channel to its parent. */
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
    // Messages of start errors are for the person who starts the platform. A bug shows its stack.
    const isBug = error instanceof TypeError || error instanceof ReferenceError
    console.error(isBug ? error : `\n${(error as Error).message}\n`)
    process.exit(1)
  })
}
