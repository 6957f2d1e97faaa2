import { Type } from 'typebox'

/** A file that is kept as bytes: a picture, a font, a PDF, a large stylesheet. */
export const Asset = Type.Object({
  path: Type.String(),
  bytes: Type.Integer(),
  type: Type.String({ description: 'Media type, told from the extension.', examples: ['image/png'] }),
  sha256: Type.String({ description: 'Of the content, in hexadecimal digits.' }),
})
export type Asset = Type.Static<typeof Asset>

/** A file that was refused, and why. `path` is as it was sent. */
export const RefusedAsset = Type.Object({
  path: Type.String(),
  code: Type.String({ examples: ['FP_FILE_TOO_LARGE'] }),
  message: Type.String(),
})
export type RefusedAsset = Type.Static<typeof RefusedAsset>

/** The draft's assets after an upload, with the result for each file. */
export const UploadAnswer = Type.Object({
  assets: Type.Array(Asset),
  saved: Type.Array(Type.String(), { description: 'Paths.' }),
  refused: Type.Array(RefusedAsset),
})
export type UploadAnswer = Type.Static<typeof UploadAnswer>

/** Path → new path, or null to delete. Either all changes are made or none. */
export const ChangeAssetsBody = Type.Object(
  { changes: Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()])) },
  { additionalProperties: false },
)
export type ChangeAssetsBody = Type.Static<typeof ChangeAssetsBody>

export const AssetList = Type.Object({ assets: Type.Array(Asset) })
export type AssetList = Type.Static<typeof AssetList>

const TYPES: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  bmp: 'image/bmp',
  gif: 'image/gif',
  ico: 'image/x-icon',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  png: 'image/png',
  svg: 'image/svg+xml',
  webp: 'image/webp',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  ogg: 'audio/ogg',
  wav: 'audio/wav',
  webm: 'video/webm',
  otf: 'font/otf',
  ttf: 'font/ttf',
  woff: 'font/woff',
  woff2: 'font/woff2',
  css: 'text/css',
  csv: 'text/csv',
  html: 'text/html',
  js: 'text/javascript',
  md: 'text/markdown',
  mjs: 'text/javascript',
  txt: 'text/plain',
  xml: 'text/xml',
  json: 'application/json',
  gz: 'application/gzip',
  pdf: 'application/pdf',
  wasm: 'application/wasm',
  zip: 'application/zip',
}

/** The media type of a path's extension. */
export function mediaType(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return TYPES[name.slice(name.lastIndexOf('.') + 1).toLowerCase()] ?? 'application/octet-stream'
}
