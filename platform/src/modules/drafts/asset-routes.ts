import type { Readable } from 'node:stream'
import { gathered } from '@fp/scaler/http'
import { ASSET_LIMITS, AssetList, ChangeAssetsBody, UploadAnswer } from '@fp/sdk/wire'
import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { FpError } from '../../errors.ts'
import { assetToWire } from '../assets/asset.ts'
import { sendAsset } from '../assets/send.ts'
import { AppParams, rest } from '../params.ts'
import type { DraftAssetService } from './asset-service.ts'
import { readMultipart, tooLarge, type Part } from './multipart.ts'
import { createUploadSlots } from './upload-slots.ts'

const tags = ['assets']
const LIMITS = {
  maxBytes: ASSET_LIMITS.maxUploadBytes,
  maxParts: ASSET_LIMITS.maxFiles,
  maxPartBytes: ASSET_LIMITS.maxFileBytes,
}

export function registerAssetRoutes(app: Api, deps: { draftAssets: DraftAssetService }): void {
  const { draftAssets } = deps
  const slots = createUploadSlots()

  // Registered in a scope of its own, so that no other route accepts forms.
  void app.register(async (scope) => {
    // The handler reads the body as it arrives.
    scope.addContentTypeParser('multipart/form-data', (_request, payload, done) => done(null, payload))
    ;(scope as unknown as Api).post(
      '/api/apps/:app_id/assets',
      {
        schema: {
          tags,
          operationId: 'uploadAssets',
          summary: 'Upload files of any kind',
          description:
            'A multipart form; the name of each field is the path of its file in the app, such as `static/logo.png`. A file takes the place of an asset of the same path. Files that cannot be kept are listed with the reason; when none can, the first reason is the answer.',
          consumes: ['multipart/form-data'],
          params: AppParams,
          response: { 200: UploadAnswer },
        },
      },
      async (request) => {
        const { userId } = request.user
        const body = request.body as Readable | undefined
        const contentType = request.headers['content-type'] ?? ''
        if (!/^multipart\/form-data/i.test(contentType) || !body) throw noForm()
        if (Number(request.headers['content-length'] ?? 0) > LIMITS.maxBytes) throw tooLarge(LIMITS.maxBytes)
        using _slot = slots.take(userId)
        const files = toFiles(readMultipart(contentType, unbroken(gathered(body)), LIMITS))
        const { assets, saved, refused } = await draftAssets.upload(userId, request.params.app_id, files)
        return { assets: assets.map(assetToWire), saved: [...saved], refused: [...refused] }
      },
    )
  })

  app.patch(
    '/api/apps/:app_id/assets',
    {
      schema: {
        tags,
        operationId: 'changeAssets',
        summary: 'Rename and delete assets of the draft',
        params: AppParams,
        body: ChangeAssetsBody,
        response: { 200: AssetList },
      },
    },
    async (request) => {
      const { changes } = request.body
      const assets = await draftAssets.rename(request.user.userId, request.params.app_id, changes)
      return { assets: assets.map(assetToWire) }
    },
  )

  app.get(
    '/api/apps/:app_id/assets/*',
    {
      schema: {
        tags,
        operationId: 'getAsset',
        summary: 'The content of an asset of the draft',
        params: AppParams,
        response: { 200: Type.Any() },
      },
    },
    async (request, reply) => {
      const { app_id: appId } = request.params
      const asset = await draftAssets.find(request.user.userId, appId, rest(request.params))
      return sendAsset(request as never, reply as never, asset, () => draftAssets.read(asset)) as never
    },
  )

  app.delete(
    '/api/apps/:app_id/assets/*',
    {
      schema: {
        tags,
        operationId: 'deleteAsset',
        summary: 'Delete an asset of the draft',
        description: 'Versions keep theirs.',
        params: AppParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { app_id: appId } = request.params
      await draftAssets.rename(request.user.userId, appId, { [rest(request.params)]: null })
      return reply.code(204).send(null)
    },
  )
}

async function* toFiles(parts: AsyncIterable<Part>) {
  for await (const { name, bytes, content } of parts) yield { path: name, bytes, content }
}

/** Reports a client that disconnects as its error and not as one of the platform. */
async function* unbroken(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body
  } catch (error) {
    throw new FpError(
      'FP_BAD_REQUEST',
      'The upload ended before it was complete. Nothing was saved. Send it again.',
      { cause: error },
    )
  }
}

function noForm(): FpError {
  return new FpError(
    'FP_UNSUPPORTED_MEDIA_TYPE',
    "Send a multipart form, each file as a part whose field name is its path: curl -F 'static/logo.png=@logo.png'.",
  )
}
