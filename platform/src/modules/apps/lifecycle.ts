import { setTimeout as delay } from 'node:timers/promises'
import type { CreateAppBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { RuntimeCleanup } from '../../runtime/runtime.ts'
import type { Targets } from '../../runtime/targets.ts'
import { liveKey } from '../app-records/live-service.ts'
import type { AppLifecycle } from './ports.ts'
import type { AppService, NewAppRecord } from '../app-records/service.ts'
import type { AppRecord } from '../app-records/types.ts'
import type { Background } from '../background.ts'
import type { AssetRef } from '../assets/asset.ts'
import type { AssetService } from '../assets/service.ts'
import { checkAssets } from '../drafts/assets.ts'
import { checkFiles } from '../drafts/files.ts'
import type { Contents, DraftService } from '../drafts/service.ts'
import type { DeploymentService } from '../deployments/service.ts'
import type { TemplateService } from '../templates/service.ts'
import type { Starter } from '../templates/types.ts'

export interface LifecycleDeps {
  readonly apps: AppService
  readonly drafts: DraftService
  readonly assets: Pick<AssetService, 'keep'>
  readonly deployments: DeploymentService
  readonly templates: Pick<TemplateService, 'contents'>
  readonly targets: Targets
  readonly cleanup: Pick<RuntimeCleanup, 'removeApp'>
  readonly background: Background
}

/** How long a caller waits for the removal of an app, in ms: requests that the app is answering delay it. */
const REMOVE_PATIENCE = 3_000
const MAX_NAME = 80

export interface Lifecycle extends AppLifecycle {
  /** Completes interrupted deletions that began at least `idleFor` ms ago. Several replicas may do so at once. */
  recover(options: { idleFor: number }): Promise<void>
}

export function createLifecycle(deps: LifecycleDeps): Lifecycle {
  const { apps, drafts, deployments, background } = deps
  /** The apps that this replica is removing now. */
  const clearing = new Set<string>()

  async function keepAll(ownerId: string, { files, assets }: Starter): Promise<AssetRef[]> {
    const kept: AssetRef[] = []
    for (const { path, content } of assets) {
      kept.push({ path, blob: await deps.assets.keep(ownerId, content), bytes: content.length })
    }
    return checkAssets(kept, Object.keys(files))
  }

  /** Creates the draft first: an app must never be seen without one, while a draft without an app does no harm. */
  async function make(app: NewAppRecord, contents: Contents): Promise<string> {
    await drafts.create(app.appId, contents)
    try {
      await apps.create(app)
    } catch (error) {
      await drafts.remove(app.appId)
      throw error
    }
    return app.appId
  }

  /** Each step can be repeated. The record is removed last, so that an interrupted removal is found again. */
  async function clear(app: AppRecord): Promise<void> {
    const { appId } = app
    const key = liveKey(appId, app.live)
    await deployments.removeAll(appId)
    if (key) await deps.targets.retire(key)
    await background.settled(appId)
    await drafts.remove(appId)
    await deps.cleanup.removeApp(appId)
    await apps.remove(appId)
  }

  /** Does not run as background work of the app: `clear` waits for all of that, so it would wait for itself. */
  function clearInBackground(app: AppRecord): Promise<void> {
    clearing.add(app.appId)
    const done = clear(app).finally(() => clearing.delete(app.appId))
    background.run('', `remove the app ${app.appId}; it is tried again`, () => done)
    return done
  }

  return {
    async create(ownerId, body) {
      const starter = starterOf(body, deps.templates)
      const files = checkFiles(starter.files)
      const appId = apps.newId()
      const env = await apps.sealEnv(appId, body.env_vars ?? {})
      const contents = { files, assets: await keepAll(ownerId, starter) }
      return make({ appId, ownerId, name: body.name, env, entrypoint: body.entrypoint ?? null }, contents)
    },

    async clone(ownerId, fromId, name) {
      const from = await apps.find(ownerId, fromId)
      const draft = await drafts.get(ownerId, fromId)
      const appId = apps.newId()
      return make(
        {
          appId,
          ownerId,
          name: name ?? copyName(from.name),
          env: await apps.copyEnv(from, appId),
          idleTimeoutS: from.idleTimeoutS,
          entrypoint: from.entrypoint,
          // The new app gets a storage folder of its own, which is empty.
          storage: from.storage,
        },
        { files: draft.files, assets: draft.assets },
      )
    },

    async remove(ownerId, appId) {
      const app = await apps.markDeleted(ownerId, appId)
      const patience = new AbortController()
      await Promise.race([
        clearInBackground(app).catch(() => undefined),
        delay(REMOVE_PATIENCE, undefined, { signal: patience.signal }).catch(() => undefined),
      ])
      patience.abort()
    },

    async recover({ idleFor }) {
      for (const app of await apps.deleted(idleFor)) {
        if (!clearing.has(app.appId)) void clearInBackground(app).catch(() => undefined)
      }
    },
  }
}

function starterOf(body: CreateAppBody, templates: Pick<TemplateService, 'contents'>): Starter {
  const given = [body.files, body.code, body.template_id].filter((source) => source !== undefined)
  if (given.length > 1) {
    throw new FpError(
      'FP_INVALID_FIELDS',
      'An app is made from one of files, code and template_id. Send only one of them.',
    )
  }
  if (body.files) return { files: body.files, assets: [] }
  if (body.code !== undefined) return { files: { 'app.py': body.code }, assets: [] }
  return templates.contents(body.template_id)
}

function copyName(name: string): string {
  const suffix = ' (copy)'
  // Cuts between code points, so that no character is cut in half.
  return [...name].slice(0, MAX_NAME - suffix.length).join('') + suffix
}
