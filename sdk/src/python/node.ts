import { createRequire } from 'node:module'
import { Language, Parser } from 'web-tree-sitter'
import { SELECTED_RULES } from './lint-rules.ts'
import { createLinter, type RuffModule } from './ruff.ts'
import { createParser } from './syntax.ts'
import { createValidator, type Validator } from './validator.ts'

const RUFF = '@astral-sh/ruff-wasm-nodejs'

/**
 * Creates the validator for Node. Its WebAssembly is read from node_modules. The first validation loads ruff (about
 * 0.1–0.8 s).
 */
export async function createNodeValidator(): Promise<Validator> {
  const require = createRequire(import.meta.url)
  await Parser.init()
  const python = await Language.load(require.resolve('tree-sitter-python/tree-sitter-python.wasm'))
  const parser = createParser(() => new Parser().setLanguage(python))
  const linter = createLinter(() => {
    // This removes the broken instance with its module, so that its memory can be collected.
    delete require.cache[require.resolve(RUFF)]
    return require(RUFF) as RuffModule
  }, SELECTED_RULES)
  return createValidator({ parser, linter, now: workOfThisThread })
}

/** The CPU time of this thread, because on a busy machine the same files take longer by the clock. */
function workOfThisThread(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
