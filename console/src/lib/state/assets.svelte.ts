import { ASSET_LIMITS, type Asset, type RefusedAsset } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { inBatches } from '#lib/editor/uploads.ts'
import { toasts } from './toasts.svelte.ts'

/** The assets of an app. Each change is made on the server at once, and the editor shows the server's answer. */
export class AssetsState {
  readonly appId: string
  items = $state.raw<readonly Asset[]>([])
  /** Files that are being uploaded, those of the draft included. */
  uploading = $state(0)
  paths = $derived(this.items.map((asset) => asset.path))
  bytes = $derived(this.items.reduce((sum, asset) => sum + asset.bytes, 0))
  /** Counts changes, so that the answer to an older request is recognised. */
  changes = 0

  constructor(appId: string, assets: readonly Asset[]) {
    this.appId = appId
    this.items = assets
  }

  find(path: string): Asset | undefined {
    return this.items.find((asset) => asset.path === path)
  }

  /** The URL of its content. Another content has another URL, so that the browser loads it again. */
  url(asset: Asset): string {
    return `${client.apps.assetUrl(this.appId, asset.path)}?sha256=${asset.sha256}`
  }

  /** Returns the paths that were saved. A toast tells which files were refused and why. */
  async upload(files: ReadonlyMap<string, Blob>): Promise<string[]> {
    const saved: string[] = []
    // One request after the other: the size of a request and the uploads of a user at once are limited.
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

  /** Path → new path, or null to delete. False when the change was refused; a toast has told why. */
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

  /** Takes the assets that the server had when the number of changes was `asked`. */
  offer(assets: readonly Asset[], asked: number): void {
    if (asked === this.changes && this.uploading === 0) this.items = assets
  }

  #adopt(assets: readonly Asset[]): void {
    this.changes++
    this.items = assets
  }
}

/** One toast for all refused files: many would hide each other. */
function tellRefused(refused: readonly RefusedAsset[]): void {
  const told = refused.slice(0, 3).map(({ message }) => message)
  if (refused.length > told.length) told.push(`${refused.length - told.length} more were refused.`)
  if (told.length > 0) toasts.error(new Error(told.join(' ')))
}
