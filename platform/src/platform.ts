import { createLogger } from './logger.ts'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import { startGate } from './gate/start.ts'
import { startApi } from './api/start.ts'

export interface Platform {
  /** Where the console and the API answer. */
  readonly url: string
  /** The settings it runs with, the real port in them. */
  readonly config: Config
  /** Answers what is under way, then stops everything it started; within 5 s. */
  close(): Promise<void>
}

export interface StartOptions {
  readonly logger?: Logger
  /** Told of each step, for the person who waits. */
  readonly onStep?: (step: string) => void
}

/** Gate and API in one process, for tests. `server.ts` gives each a process of its own. */
export async function startPlatform(settings: Config, options: StartOptions = {}): Promise<Platform> {
  const logger = options.logger ?? createLogger(settings)
  const running = await startGate(settings, { logger, onStep: options.onStep ?? (() => undefined) })
  const { config, gate } = running
  let api: Awaited<ReturnType<typeof startApi>>
  try {
    api = await startApi(config, { gate, logger })
    await running.listen()
  } catch (error) {
    await running.close({ apiDone: async () => undefined })
    throw error
  }
  let closed: Promise<void> | undefined
  return {
    url: config.publicUrl,
    config,
    close: () => (closed ??= running.close({ apiDone: (grace) => api.close({ grace }) })),
  }
}
