import { loadConfig, type Config } from './config.ts'
import { createLogger } from './logger.ts'
import { parentOf, watchParent } from './parent.ts'
import { startPlatform } from './platform.ts'

/** Past the grace of requests under way, the apps and mongod get this long, ms; then the process ends with whatever still hangs. */
const STOP_RESERVE = 2_800
/** One Ctrl-C comes more than once: the terminal sends it to every process of its group, and npm passes it on. */
const SAME_SIGNAL = 500

/** The process: settings from the environment, signals, exit codes. */
async function main(): Promise<void> {
  const begun = performance.now()
  const config = loadConfig(process.env)
  const logger = createLogger(config)
  for (const warning of config.warnings) logger.warn(warning)
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
  const say = (text: string): void => (terminal ? console.log(`  ${text}`) : logger.info(text))
  const starting = startPlatform(config, { logger, onStep: say })
  const stop = (why: string): void => {
    stoppingSince = performance.now()
    if (terminal) console.log('')
    say(why)
    const limit = config.shutdownDelay + config.shutdownGrace + STOP_RESERVE
    setTimeout(() => process.exit(1), limit).unref()
    // One that still starts is let come up: half a start cannot be stopped in order.
    void starting.then((platform) => platform.close()).then(() => process.exit(0))
  }
  // SIGHUP: the terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
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
  const platform = await starting
  if (stoppingSince !== undefined) return
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  const ready = `fp is ready (${seconds} s)`
  const places = placesOf(platform.config)
  if (terminal) console.log(welcome(ready, places))
  else logger.info(places, ready)
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
