import {
  App,
  AppDetail,
  CloneAppBody,
  CreateAppBody,
  ENV_LIMITS,
  Page,
  PageQuery,
  PatchAppBody,
} from '@fp/sdk/wire'
import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { optionalBody } from '../optional-body.ts'
import { pageRequest, toPage } from '../paging.ts'
import { AppParams } from '../params.ts'
import type { AppLifecycle, AppViews } from './ports.ts'
import type { AppService } from '../app-records/service.ts'
import { appDetailToWire, appToWire, type AppUrl } from './wire.ts'

export interface AppRoutesDeps {
  readonly apps: AppService
  readonly views: AppViews
  readonly lifecycle: AppLifecycle
  readonly appUrl: AppUrl
}

const tags = ['apps']

export function registerAppRoutes(app: Api, deps: AppRoutesDeps): void {
  const { apps, views, lifecycle, appUrl } = deps

  app.post(
    '/api/apps',
    {
      bodyLimit: BODY_LIMITS.files,
      config: { cost: 3, quota: 'app' },
      schema: {
        tags,
        operationId: 'createApp',
        summary: 'Make an app',
        description:
          'From `files`, `code` (the text of app.py) or `template_id`; from the hello template when none is given. Nothing is deployed yet.',
        body: CreateAppBody,
        response: { 201: AppDetail },
      },
    },
    async (request, reply) => {
      const { userId } = request.user
      const appId = await lifecycle.create(userId, request.body)
      return reply.code(201).send(appDetailToWire(await views.detail(userId, appId), appUrl))
    },
  )

  app.get(
    '/api/apps',
    {
      schema: {
        tags,
        operationId: 'listApps',
        summary: 'Your apps, newest first',
        querystring: PageQuery,
        response: { 200: Page(App) },
      },
    },
    async (request) => {
      const page = pageRequest('apps', request.query)
      const found = await views.list(request.user.userId, page)
      return toPage(
        'apps',
        page,
        found,
        (view) => view.app.sequence,
        (view) => appToWire(view, appUrl),
      )
    },
  )

  app.get(
    '/api/apps/:app_id',
    {
      schema: {
        tags,
        operationId: 'getApp',
        summary: 'An app with its draft and environment',
        params: AppParams,
        response: { 200: AppDetail },
      },
    },
    async (request) =>
      appDetailToWire(await views.detail(request.user.userId, request.params.app_id), appUrl),
  )

  app.patch(
    '/api/apps/:app_id',
    {
      bodyLimit: BODY_LIMITS.variables,
      config: { cost: 3 },
      schema: {
        tags,
        operationId: 'changeApp',
        summary: 'Change name, idle timeout, entrypoint, storage or environment',
        description: `A changed environment needs no deploy: the app is restarted with it, at once if it is awake. The same goes for \`storage\`, which gives the app a folder whose files last; turned off, the app no longer sees it, and its files stay until the app is deleted. A changed entrypoint counts from the next deploy on. A text keeps the secret mark a variable has. At most ${ENV_LIMITS.maxVars} variables, names and values together at most ${ENV_LIMITS.maxBytes / 1024} KiB.`,
        params: AppParams,
        body: PatchAppBody,
        response: { 200: AppDetail },
      },
    },
    async (request) => {
      const { userId } = request.user
      const { app_id: appId } = request.params
      const { name, idle_timeout_s: idleTimeoutS, entrypoint, storage, env_vars: env } = request.body
      await apps.change(userId, appId, {
        ...(name === undefined ? {} : { name }),
        ...(idleTimeoutS === undefined ? {} : { idleTimeoutS }),
        ...(entrypoint === undefined ? {} : { entrypoint }),
        ...(storage === undefined ? {} : { storage }),
        ...(env === undefined ? {} : { env }),
      })
      return appDetailToWire(await views.detail(userId, appId), appUrl)
    },
  )

  app.delete(
    '/api/apps/:app_id',
    {
      schema: {
        tags,
        operationId: 'deleteApp',
        summary: 'Delete an app',
        description:
          'With its draft, versions and logs. What it wrote to your database stays: the database is yours, not the app’s.',
        params: AppParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await lifecycle.remove(request.user.userId, request.params.app_id)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/api/apps/:app_id/clone',
    {
      preValidation: optionalBody,
      config: { cost: 3, quota: 'app' },
      schema: {
        tags,
        operationId: 'cloneApp',
        summary: 'Make another app of the draft and environment',
        params: AppParams,
        body: CloneAppBody,
        response: { 201: AppDetail },
      },
    },
    async (request, reply) => {
      const { userId } = request.user
      const appId = await lifecycle.clone(userId, request.params.app_id, request.body.name)
      return reply.code(201).send(appDetailToWire(await views.detail(userId, appId), appUrl))
    },
  )
}
