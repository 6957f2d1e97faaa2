import { createWebValidator } from '@fp/sdk/python/web'
import ruff from '@astral-sh/ruff-wasm-web/ruff_wasm_bg.wasm?url'
import python from 'tree-sitter-python/tree-sitter-python.wasm?url'
import treeSitter from 'web-tree-sitter/web-tree-sitter.wasm?url'
import type { Files, Finding } from '@fp/sdk/wire'

export interface Question {
  id: number
  files: Files
}
/** No findings at all: the validator could not be loaded. */
export interface Answer {
  id: number
  findings: Finding[] | undefined
}

// The same rules that the platform checks with, as WebAssembly beside the page's own thread.
const loading = createWebValidator({ ruff, python, treeSitter })
loading.catch(() => {})

self.onmessage = async ({ data }: MessageEvent<Question>) => {
  let findings: Finding[] | undefined
  try {
    findings = (await loading).validate(data.files)
  } catch {
    findings = undefined
  }
  self.postMessage({ id: data.id, findings } satisfies Answer)
}
