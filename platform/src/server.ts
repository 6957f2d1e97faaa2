import { loadConfig, type Config } from './config.ts'
import { createLogger } from './logger.ts'
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
  // A bug that nobody caught leaves the process in a state that nobody knows.
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error) => {
      logger.fatal({ err: error }, event)
      process.exit(1)
    })
  }
  const say =
    config.logFormat === 'json' ? (text: string) => logger.info(text) : (text: string) => console.log(text)
  const starting = startPlatform(config, { logger, onStep: (step) => say(`  ${step}`) })
  let stoppingSince: number | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stoppingSince === undefined) {
        stoppingSince = performance.now()
        say('\n  Stopping: requests under way are answered first. Ctrl-C again stops at once.')
        const limit = config.shutdownDelay + config.shutdownGrace + STOP_RESERVE
        setTimeout(() => process.exit(1), limit).unref()
        // One that still starts is let come up: half a start cannot be stopped in order.
        void starting.then((platform) => platform.close()).then(() => process.exit(0))
      } else if (performance.now() - stoppingSince > SAME_SIGNAL) {
        process.exit(130)
      }
    })
  }
  const platform = await starting
  if (stoppingSince === undefined) say(welcome(platform.config, (performance.now() - begun) / 1000))
}

function welcome(config: Config, seconds: number): string {
  return [
    '',
    `  fp is ready (${seconds.toFixed(1)} s)`,
    '',
    `  Console and API   ${config.publicUrl}`,
    `  Apps              ${new URL(config.publicUrl).protocol}//app-<id>.${config.appDomain}`,
    `  Data              ${config.dataDir}`,
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
