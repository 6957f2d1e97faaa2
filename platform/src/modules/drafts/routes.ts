import { Draft, SaveDraftBody } from '@fp/sdk/wire'
import type { Api } from '../../api/api.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { assetToWire } from '../assets/asset.ts'
import { AppParams } from '../params.ts'
import { toRecord } from './files.ts'
import type { DraftService } from './service.ts'
import type { DraftRecord } from './store.ts'

const tags = ['drafts']

export function registerDraftRoutes(app: Api, deps: { drafts: DraftService }): void {
  const { drafts } = deps

  app.get(
    '/api/apps/:app_id/draft',
    {
      schema: {
        tags,
        operationId: 'getDraft',
        summary: 'The files as they are being edited',
        params: AppParams,
        response: { 200: Draft },
      },
    },
    async (request) => toWire(await drafts.get(request.user.userId, request.params.app_id)),
  )

  app.put(
    '/api/apps/:app_id/draft',
    {
      bodyLimit: BODY_LIMITS.files,
      config: { cost: 2 },
      schema: {
        tags,
        operationId: 'saveDraft',
        summary: 'Replace the files',
        description:
          'All of them: a file that is not sent is removed; assets stay. With `revision`, only if nobody saved since (FP_DRAFT_CONFLICT).',
        params: AppParams,
        body: SaveDraftBody,
        response: { 200: Draft },
      },
    },
    async (request) => {
      const { files, revision } = request.body
      return toWire(await drafts.save(request.user.userId, request.params.app_id, files, revision))
    },
  )
}

function toWire(draft: DraftRecord): Draft {
  return {
    files: toRecord(draft.files),
    assets: draft.assets.map(assetToWire),
    revision: draft.revision,
    updated_at: draft.updatedAt.toISOString(),
  }
}
