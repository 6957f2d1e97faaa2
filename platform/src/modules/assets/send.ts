import { mediaType } from '@fp/sdk/wire'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sha256Of, type AssetRef } from './asset.ts'

/**
 * Answers with an asset's bytes. The asset is a user's file, sent from the console's own host. So browsers may only download
 * it or show it as a picture. If one opened it as a page, the content security policy would keep its scripts from running.
 */
export async function sendAsset(
  request: FastifyRequest,
  reply: FastifyReply,
  asset: AssetRef,
  read: () => Promise<Buffer>,
): Promise<FastifyReply> {
  const type = mediaType(asset.path)
  const etag = `"${sha256Of(asset.blob)}"`
  const name = encodeURIComponent(asset.path.slice(asset.path.lastIndexOf('/') + 1))
  reply.headers({
    etag,
    'cache-control': 'private, no-cache',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
  })
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  return reply
    .type(type.startsWith('image/') ? type : 'application/octet-stream')
    .header('content-disposition', `attachment; filename*=UTF-8''${name}`)
    .send(await read())
}
