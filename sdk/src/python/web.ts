import initRuff, { Workspace } from '@astral-sh/ruff-wasm-web'
import { Language, Parser } from 'web-tree-sitter'
import { SELECTED_RULES } from './lint-rules.ts'
import { createLinter } from './ruff.ts'
import { createParser } from './syntax.ts'
import { createValidator, type Validator } from './validator.ts'

/** Where the page finds the WebAssembly. With Vite: `import url from 'web-tree-sitter/web-tree-sitter.wasm?url'`. */
export interface WasmUrls {
  /** web-tree-sitter/web-tree-sitter.wasm */
  readonly treeSitter: string
  /** tree-sitter-python/tree-sitter-python.wasm */
  readonly python: string
  /** @astral-sh/ruff-wasm-web/ruff_wasm_bg.wasm */
  readonly ruff: string
}

/** The validator for the browser; best in a Web Worker. Rejects when a file cannot be fetched. */
export async function createWebValidator(urls: WasmUrls): Promise<Validator> {
  const ruff = initRuff({ module_or_path: urls.ruff })
  await Parser.init({ locateFile: () => urls.treeSitter })
  const python = await Language.load(urls.python)
  await ruff
  const parser = createParser(() => new Parser().setLanguage(python))
  // The page has one instance of ruff. When it breaks, the other parser finds syntax errors until a reload.
  let loads = 0
  const linter = createLinter(() => (loads++ === 0 ? { Workspace } : undefined), SELECTED_RULES)
  return createValidator({ parser, linter })
}
