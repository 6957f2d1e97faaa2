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

/** Requests that an app is answering hold its removal up; the caller is not kept longer than this, in ms. */
const REMOVE_PATIENCE = 3_000
const MAX_NAME = 80

export interface Lifecycle extends AppLifecycle {
  /** Completes deletions that were cut off: those that began `idleFor` ms ago or earlier. Several replicas may do so at once. */
  recover(options: { idleFor: number }): Promise<void>
}

export function createLifecycle(deps: LifecycleDeps): Lifecycle {
  const { apps, drafts, deployments, background } = deps
  /** Apps that this replica clears away now. */
  const clearing = new Set<string>()

  async function keepAll(ownerId: string, { files, assets }: Starter): Promise<AssetRef[]> {
    const kept: AssetRef[] = []
    for (const { path, content } of assets) {
      kept.push({ path, blob: await deps.assets.keep(ownerId, content), bytes: content.length })
    }
    return checkAssets(kept, Object.keys(files))
  }

  /** The draft first: an app without one is never seen, a draft without an app hurts nobody. */
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

  /** Each step can be repeated; the record goes last, so that what was cut off is found again. */
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

  /** Not `background.run`: `clear` waits for the app's background work and would wait for itself. */
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
          // Of its own, and empty.
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
  // By code points, so that no character is cut in half.
  return [...name].slice(0, MAX_NAME - suffix.length).join('') + suffix
}
