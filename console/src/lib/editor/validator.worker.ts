import { createWebValidator } from '@fp/sdk/python/web'
import ruff from '@astral-sh/ruff-wasm-web/ruff_wasm_bg.wasm?url'
import python from 'tree-sitter-python/tree-sitter-python.wasm?url'
import treeSitter from 'web-tree-sitter/web-tree-sitter.wasm?url'
import type { Validation } from '@fp/sdk/python'
import type { Files } from '@fp/sdk/wire'

export interface Question {
  id: number
  files: Files
  /** The entrypoint that the owner set. */
  entrypoint: string | null
}
/** Undefined when the validator could not be loaded. */
export interface Answer {
  id: number
  validation: Validation | undefined
}

// The platform's own rules, compiled to WebAssembly, in a thread of their own.
const loading = createWebValidator({ ruff, python, treeSitter })
loading.catch(() => {})

self.onmessage = async ({ data }: MessageEvent<Question>) => {
  let validation: Validation | undefined
  try {
    validation = (await loading).check(
      data.files,
      data.entrypoint === null ? {} : { entrypoint: data.entrypoint },
    )
  } catch {
    validation = undefined
  }
  self.postMessage({ id: data.id, validation } satisfies Answer)
}
