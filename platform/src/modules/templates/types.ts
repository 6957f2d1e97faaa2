import type { Files, Template } from '@fp/sdk/wire'

/** What a new app is made from. */
export interface Starter {
  readonly files: Files
  readonly assets: readonly { readonly path: string; readonly content: Buffer }[]
}

export type LoadedTemplate = Template & Starter
