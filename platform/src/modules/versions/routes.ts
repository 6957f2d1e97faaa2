import { Page, PageQuery, Version, VersionDetail } from '@fp/sdk/wire'
import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { assetToWire } from '../assets/asset.ts'
import { sendAsset } from '../assets/send.ts'
import { toRecord } from '../drafts/files.ts'
import { pageRequest, toPage } from '../paging.ts'
import { AppParams, rest, VersionParams } from '../params.ts'
import type { VersionService, VersionStates } from './service.ts'
import type { VersionSummary } from './store.ts'

const tags = ['versions']

export function registerVersionRoutes(app: Api, deps: { versions: VersionService }): void {
  const { versions } = deps

  app.get(
    '/api/apps/:app_id/versions',
    {
      schema: {
        tags,
        operationId: 'listVersions',
        summary: 'The versions that are kept, newest first',
        description: 'The last ten, and the live one.',
        params: AppParams,
        querystring: PageQuery,
        response: { 200: Page(Version) },
      },
    },
    async (request) => {
      const page = pageRequest('versions', request.query)
      const found = await versions.list(request.user.userId, request.params.app_id, page)
      return toPage(
        'versions',
        page,
        found.versions,
        (version) => version.version,
        (version) => toWire(version, found),
      )
    },
  )

  app.get(
    '/api/apps/:app_id/versions/:version',
    {
      schema: {
        tags,
        operationId: 'getVersion',
        summary: 'A version with its files',
        params: VersionParams,
        response: { 200: VersionDetail },
      },
    },
    async (request) => {
      const { app_id: appId, version } = request.params
      const found = await versions.get(request.user.userId, appId, version)
      const { files, assets } = found.record
      return {
        ...toWire(found.record, found),
        files: toRecord(files),
        assets: assets.map(assetToWire),
      }
    },
  )

  app.get(
    '/api/apps/:app_id/versions/:version/assets/*',
    {
      schema: {
        tags,
        operationId: 'getVersionAsset',
        summary: 'The content of an asset of a version',
        params: VersionParams,
        response: { 200: Type.Any() },
      },
    },
    async (request, reply) => {
      const { app_id: appId, version } = request.params
      const asset = await versions.asset(request.user.userId, appId, version, rest(request.params))
      return sendAsset(request as never, reply as never, asset, () => versions.read(asset)) as never
    },
  )
}

function toWire(version: VersionSummary, { live, failedToStart }: VersionStates): Version {
  return {
    version: version.version,
    live: version.version === live,
    failed_to_start: version.version !== live && failedToStart.has(version.version),
    entrypoint: version.entrypoint,
    file_count: version.fileCount,
    total_bytes: version.totalBytes,
    created_at: version.createdAt.toISOString(),
  }
}
