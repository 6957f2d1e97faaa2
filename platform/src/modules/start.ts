import { setTimeout as delay } from 'node:timers/promises'
import type { Api } from '../api/api.ts'
import { createJobQueue } from '../jobs/queue.ts'
import { repeat, type Repetition } from '../repeat.ts'
import { Background } from './background.ts'
import type { Module, ModuleContext, ModuleDeps, Started } from './module.ts'

/** How long `close` waits for background work, such as a retired target that still answers, in ms. */
const CLOSE_PATIENCE = 1_000
/** Time between two searches for unfinished work of dead replicas, in ms. */
const RECOVERY_INTERVAL = 15_000

/** The started modules. */
export interface Modules {
  /** Throws where the module is not among those that were started. */
  use<S>(module: Module<S>): S
  registerRoutes(api: Api): void
  /** Completes work that killed processes have left, now and at intervals. Call it once, before requests are accepted. */
  recover(): Promise<void>
  /** Closes the modules, the last of the list first. */
  close(): Promise<void>
}

/** Starts the modules in the order of the list: each may use those before it. */
export async function startModules(list: readonly Module<unknown>[], deps: ModuleDeps): Promise<Modules> {
  const { log } = deps
  const background = new Background(log)
  const jobs = await createJobQueue({ db: deps.db, members: deps.members, log })
  const started = new Map<Module<unknown>, Started<unknown>>()

  function use<S>(module: Module<S>): S {
    const found = started.get(module)
    if (!found)
      throw new Error(`The module "${module.name}" is not started: it has to stand earlier in the list.`)
    return found.service as S
  }
  const context: ModuleContext = { ...deps, now: deps.now ?? (() => new Date()), background, jobs, use }

  let recovering: Repetition | undefined
  let isClosing = false

  async function close(): Promise<void> {
    isClosing = true
    const recovered = recovering?.end()
    await jobs.close()
    for (const module of [...started.values()].reverse()) {
      try {
        await module.close?.()
      } catch (error) {
        log.warn({ err: error }, 'a module could not be closed')
      }
    }
    const settled = Promise.all([background.settled(), recovered])
    await Promise.race([settled, delay(CLOSE_PATIENCE, undefined, { ref: false })])
  }

  try {
    for (const module of list) started.set(module, await module.start(context))
  } catch (error) {
    await close()
    throw error
  }
  return {
    use,
    registerRoutes(api) {
      for (const module of started.values()) module.hooks?.(api)
      for (const module of started.values()) module.routes?.(api)
    },
    async recover() {
      await jobs.recover()
      for (const module of started.values()) await module.recover?.('start')
      for (const module of started.values()) module.run?.()
      recovering = repeat(async () => {
        for (const module of started.values()) {
          if (isClosing) break
          await module
            .recover?.('later')
            .catch((error: unknown) => log.warn({ err: error }, 'could not finish what another replica left'))
        }
        return RECOVERY_INTERVAL
      }, RECOVERY_INTERVAL)
    },
    close,
  }
}
