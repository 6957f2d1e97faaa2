import type { Logger } from 'pino'
import type { Config } from '../src/config.ts'
import { startGate } from '../src/gate/start.ts'
import { startApi } from '../src/api/start.ts'

export interface Platform {
  /** Where the console and the API answer. */
  readonly url: string
  /** The settings it runs with, the real port in them. */
  readonly config: Config
  /** Answers what is under way, then stops everything it started; within 5 s. */
  close(): Promise<void>
}

/** Gate and API in one process. `server.ts` gives each a process of its own. */
export async function startPlatform(
  settings: Config,
  { logger }: { readonly logger: Logger },
): Promise<Platform> {
  const running = await startGate(settings, { logger, onStep: () => undefined })
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
