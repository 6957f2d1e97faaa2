import { ASSET_LIMITS, type Asset, type RefusedAsset } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { inBatches } from '#lib/editor/uploads.ts'
import { toasts } from './toasts.svelte.ts'

/** The files of an app that are kept as bytes. Each change is made on the server at once; the editor shows what it answers. */
export class AssetsState {
  readonly appId: string
  items = $state.raw<readonly Asset[]>([])
  /** Files on their way, those of the draft included. */
  uploading = $state(0)
  paths = $derived(this.items.map((asset) => asset.path))
  bytes = $derived(this.items.reduce((sum, asset) => sum + asset.bytes, 0))
  /** Counts changes, so that an answer to an older question is known as such. */
  changes = 0

  constructor(appId: string, assets: readonly Asset[]) {
    this.appId = appId
    this.items = assets
  }

  find(path: string): Asset | undefined {
    return this.items.find((asset) => asset.path === path)
  }

  /** Where its content is; another content has another address, so that a picture is shown anew. */
  url(asset: Asset): string {
    return `${client.apps.assetUrl(this.appId, asset.path)}?sha256=${asset.sha256}`
  }

  /** Returns the paths that were kept. What was refused is told with the reason. */
  async upload(files: ReadonlyMap<string, Blob>): Promise<string[]> {
    const saved: string[] = []
    // One after the other: a request has a limit, and so have the uploads of a user at once.
    for (const batch of inBatches(files, ASSET_LIMITS)) {
      try {
        const answer = await client.apps.uploadAssets(this.appId, batch)
        this.#adopt(answer.assets)
        saved.push(...answer.saved)
        tellRefused(answer.refused)
      } catch (error) {
        toasts.error(error, 'Not uploaded')
      }
    }
    return saved
  }

  /** Path → new path, or null to delete. False when it was refused, which has been told. */
  async change(changes: Readonly<Record<string, string | null>>): Promise<boolean> {
    if (Object.keys(changes).length === 0) return true
    try {
      this.#adopt((await client.apps.changeAssets(this.appId, { ...changes })).assets)
      return true
    } catch (error) {
      toasts.error(error, 'The assets were not changed')
      return false
    }
  }

  /** What the server had when the number of changes was `asked`. */
  offer(assets: readonly Asset[], asked: number): void {
    if (asked === this.changes && this.uploading === 0) this.items = assets
  }

  #adopt(assets: readonly Asset[]): void {
    this.changes++
    this.items = assets
  }
}

/** All in one: many toasts would hide each other. */
function tellRefused(refused: readonly RefusedAsset[]): void {
  const told = refused.slice(0, 3).map(({ message }) => message)
  if (refused.length > told.length) told.push(`${refused.length - told.length} more were refused.`)
  if (told.length > 0) toasts.error(new Error(told.join(' ')))
}
