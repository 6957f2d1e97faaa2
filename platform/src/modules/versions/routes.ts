import { Page, PageQuery, Version, VersionDetail } from '@fp/sdk/wire'
import type { Api } from '../../api.ts'
import { toRecord } from '../drafts/files.ts'
import { pageRequest, toPage } from '../paging.ts'
import { AppParams, VersionParams } from '../params.ts'
import type { VersionService } from './service.ts'
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
        (version) => toWire(version, found.live),
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
      return { ...toWire(found.record, found.live), files: toRecord(found.record.files) }
    },
  )
}

function toWire(version: VersionSummary, live: number | undefined): Version {
  return {
    version: version.version,
    live: version.version === live,
    file_count: version.fileCount,
    total_bytes: version.totalBytes,
    created_at: version.createdAt.toISOString(),
  }
}
