import { formatEntrypoint, parseEntrypoint } from '@fp/sdk/python'
import type { EnvVar } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { AppChanges } from '../../app-changes.ts'
import type { Events } from '../../events.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
import { targetKey, TargetFailed, type TargetId, type Targets } from '../../runtime/targets.ts'
import type { Background } from '../background.ts'
import type { PageRequest } from '../paging.ts'
import type { EnvVarChanges, EnvVars, SealedEnvVar } from '../secrets/env-vars.ts'
import type { LiveStore } from './live-store.ts'
import { APPS, type AppStore } from './store.ts'
import type { AppRecord, AppSummary, Live } from './types.ts'

export interface AppServiceDeps {
  readonly store: AppStore
  readonly liveStore: LiveStore
  readonly envVars: EnvVars
  readonly events: Events
  readonly changes: AppChanges
  readonly targets: Targets
  /** The gate looks the app up anew at its next request. */
  readonly forgetRoute: (appId: string) => Promise<void>
  /** Why no app can have storage. Undefined: apps can have storage. */
  readonly storageProblem: () => string | undefined | Promise<string | undefined>
  /** How many apps of a user may have storage. 0: any number. */
  readonly storageApps: (ownerId: string) => Promise<number>
  readonly background: Background
  readonly defaultIdleTimeoutS: number
  readonly newId: () => string
  readonly now: () => Date
}

export interface Changes {
  readonly name?: string
  readonly idleTimeoutS?: number
  readonly entrypoint?: string | null
  readonly storage?: boolean
  readonly env?: EnvVarChanges
}

/** Fields that are missing get their defaults. */
export type NewAppRecord = Pick<AppRecord, 'appId' | 'ownerId' | 'name' | 'env'> &
  Partial<Pick<AppRecord, 'idleTimeoutS' | 'entrypoint' | 'storage'>>

export type AppService = ReturnType<typeof createAppService>

/** The record of an app: its name, its environment, its owner. To any other user the app does not exist. */
export function createAppService(deps: AppServiceDeps) {
  const { store, envVars, events, changes, targets, background } = deps
  /** Gives storage to one app of a user at a time, so that the next count includes it. */
  const storing = new KeyedQueue()

  async function find(ownerId: string, appId: string): Promise<AppRecord> {
    const app = await store.findOwned(ownerId, appId)
    if (!app) throw noSuchApp(appId)
    return app
  }

  /** Retries when a deployment or another change took a revision between the read and the write. */
  async function changeSurroundings(
    ownerId: string,
    appId: string,
    { env: envChanges = {}, storage }: Changes,
  ): Promise<void> {
    for (;;) {
      const app = await find(ownerId, appId)
      const next = {
        env: await envVars.apply(appId, app.env, envChanges),
        storage: storage ?? app.storage,
      }
      if (next.env === app.env && next.storage === app.storage) return
      const was = { revision: app.revision, live: app.live !== null }
      const change = () => store.setSurroundings(appId, was, next, deps.now())
      const done = await (next.storage && !app.storage ? withStorage(ownerId, appId, change) : change())
      if (!done) continue
      if (done.before) await replaceTarget(appId, done.before, done.revision)
      return
    }
  }

  /** Does `work`, which turns an app's storage on, if the app may have storage. */
  async function withStorage<T>(ownerId: string, appId: string, work: () => Promise<T>): Promise<T> {
    const problem = await deps.storageProblem()
    if (problem !== undefined)
      throw new FpError(
        'FP_STORAGE_UNAVAILABLE',
        `App storage cannot be turned on here: ${problem}. Keep files and data in the database (PLATFORM_MONGO_URI).`,
      )
    return storing.run(ownerId, async () => {
      const most = await deps.storageApps(ownerId)
      // An app whose storage was turned off keeps its files, which take room, so such apps count.
      const count = most === 0 ? 0 : await store.countStored(ownerId, appId)
      if (most === 0 || count < most) return work()
      throw new FpError(
        'FP_STORAGE_LIMIT',
        `${count} of your apps have or had storage, and at most ${most} are allowed. Delete one that you no longer need, or ask the admin for more (FP_MAX_STORAGE_APPS_PER_USER).`,
        { details: { count, limit: most } },
      )
    })
  }

  /** The same version with another environment is a new target. The next request wakes it; if the old one is awake, this does. */
  async function replaceTarget(appId: string, old: Live, revision: number): Promise<void> {
    const oldKey = targetKey({ appId, version: old.version, revision: old.revision })
    const target = { appId, version: old.version, revision }
    const [phase] = await targets.phases([oldKey])
    await deps.forgetRoute(appId)
    background.run(appId, 'retire a target', () => targets.retire(oldKey))
    if (phase === 'asleep') return
    background.run(appId, 'wake an app after its environment changed', async () => {
      try {
        await targets.wake(targetKey(target))
      } catch (error) {
        // Too many wakes wait already. The next request wakes the app.
        if (error instanceof FpError) return
        if (!(error instanceof TargetFailed)) throw error
        await deps.liveStore.note(target, { lastFailure: { ...error.failure, at: deps.now() } })
      }
    })
  }

  return {
    find,

    /** Without a check of the owner: for what the platform itself does. */
    findAny: (appId: string): Promise<AppRecord | undefined> => store.find(appId),

    /** The target that serves the app. Throws FP_APP_NOT_FOUND, FP_APP_NOT_DEPLOYED. */
    async findDeployed(ownerId: string, appId: string): Promise<TargetId> {
      const { live } = await find(ownerId, appId)
      if (live) return { appId, version: live.version, revision: live.revision }
      throw new FpError('FP_APP_NOT_DEPLOYED', 'The app has no live version yet. Deploy it first.')
    },

    /** The collection in which a change stream sees changes by any process. */
    collection: APPS,
    /** Those of the apps that the user has. */
    some: (ownerId: string, appIds: readonly string[]): Promise<AppSummary[]> => store.some(ownerId, appIds),
    /** Also of an app that is being deleted. */
    ownerOf: (appId: string): Promise<string | undefined> => store.ownerOf(appId),
    list: (ownerId: string, page: PageRequest): Promise<AppSummary[]> => store.list(ownerId, page),

    count: (ownerId: string): Promise<number> => store.count(ownerId),

    newId: deps.newId,

    /** Checks and seals the variables of an app that is about to be created. */
    sealEnv: (appId: string, changes: EnvVarChanges): Promise<readonly SealedEnvVar[]> =>
      envVars.apply(appId, [], changes),

    copyEnv: (from: AppRecord, appId: string): Promise<readonly SealedEnvVar[]> =>
      envVars.copy(from.appId, appId, from.env),

    async create(app: NewAppRecord): Promise<AppRecord> {
      const storage = app.storage ?? false
      const insert = async (): Promise<AppRecord> =>
        store.insert({
          ...app,
          entrypoint: readEntrypoint(app.entrypoint ?? null),
          storage,
          name: app.name.trim(),
          idleTimeoutS: app.idleTimeoutS ?? deps.defaultIdleTimeoutS,
          sequence: await store.nextSequence(),
          createdAt: deps.now(),
        })
      return storage ? withStorage(app.ownerId, app.appId, insert) : insert()
    },

    async change(ownerId: string, appId: string, wanted: Changes): Promise<void> {
      await find(ownerId, appId)
      if (wanted.env || wanted.storage !== undefined) await changeSurroundings(ownerId, appId, wanted)
      const { name, idleTimeoutS, entrypoint } = wanted
      if (name === undefined && idleTimeoutS === undefined && entrypoint === undefined) return
      const found = await store.update(appId, {
        ...(name === undefined ? {} : { name: name.trim() }),
        ...(idleTimeoutS === undefined ? {} : { idleTimeoutS }),
        ...(entrypoint === undefined ? {} : { entrypoint: readEntrypoint(entrypoint) }),
        updatedAt: deps.now(),
      })
      if (!found) throw noSuchApp(appId)
      // The front door keeps the idle timeout with the route.
      if (idleTimeoutS !== undefined) await deps.forgetRoute(appId)
    },

    showEnv: (app: AppRecord): Promise<EnvVar[]> => envVars.show(app.appId, app.env),

    /** Marks the app as deleted. From then on nobody finds it. */
    async markDeleted(ownerId: string, appId: string): Promise<AppRecord> {
      await find(ownerId, appId)
      const app = await store.markDeleted(appId, deps.now())
      if (!app) throw noSuchApp(appId)
      changes.emit('deleted', { appId })
      events.emit('app.deleted', { userId: ownerId, appId })
      await deps.forgetRoute(appId)
      return app
    },
    /** The apps whose deletion began at least `ago` ms ago and has not ended. */
    deleted: (ago: number): Promise<AppRecord[]> => store.deleted(new Date(deps.now().getTime() - ago)),
    remove: (appId: string): Promise<void> => store.remove(appId),
  }
}

/** The entrypoint as it is stored. Whether the files contain what it names is checked when they are validated. */
function readEntrypoint(text: string | null): string | null {
  const trimmed = text?.trim() ?? ''
  if (trimmed === '') return null
  const entrypoint = parseEntrypoint(trimmed)
  if (entrypoint) return formatEntrypoint(entrypoint)
  throw new FpError(
    'FP_INVALID_FIELDS',
    `The entrypoint ${JSON.stringify(trimmed.slice(0, 100))} names no module or file of an app. Write it as for uvicorn: main:app, app.main:app, src/main:create_app() (with src as --app-dir and --factory), or the path of a file, app/main.py. Send null to have it found.`,
    { details: { field: 'entrypoint' } },
  )
}

export function noSuchApp(appId: string): FpError {
  return new FpError(
    'FP_APP_NOT_FOUND',
    `There is no app ${JSON.stringify(appId.slice(0, 100))} among your apps.`,
  )
}
