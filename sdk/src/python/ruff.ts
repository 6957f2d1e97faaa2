import { SYNTAX_RULES } from './lint-rules.ts'

/** One diagnostic of ruff. Rows and columns count from 1; columns are in UTF-8 bytes. */
export interface RuffDiagnostic {
  readonly code: string | null
  readonly message: string
  readonly start_location: { readonly row: number; readonly column: number }
  readonly end_location: { readonly row: number; readonly column: number }
}

export interface RuffWorkspace {
  check(text: string): RuffDiagnostic[]
  free(): void
}

/** The common part of `@astral-sh/ruff-wasm-nodejs` and `-web`. */
export interface RuffModule {
  readonly Workspace: new (options: unknown, encoding: number) => RuffWorkspace
}

export interface PythonLinter {
  /** Returns undefined if ruff could not check this text. Never throws. */
  check(text: string): readonly RuffDiagnostic[] | undefined
  /** Only reports errors with which Python does not compile the text. */
  checkSyntax(text: string): readonly RuffDiagnostic[] | undefined
}

/** Apps run on this version, so newer syntax is an error. */
const TARGET_VERSION = 'py311'
/**
 * UTF-8 columns. For other encodings ruff counts again for each diagnostic, which takes quadratic time in a long line.
 */
const UTF8 = 0

/**
 * A linter that uses ruff. A panic or a stack overflow in the WebAssembly code makes its memory unusable, so the
 * instance is dropped and `load` is called for a new one. If `load` returns undefined, checks return undefined.
 */
export function createLinter(load: () => RuffModule | undefined, rules: readonly string[]): PythonLinter {
  let ruff: RuffModule | undefined
  const workspaces = new Map<readonly string[], RuffWorkspace>()
  const check = (text: string, select: readonly string[]): readonly RuffDiagnostic[] | undefined => {
    try {
      ruff ??= load()
      if (!ruff) return undefined
      const workspace =
        workspaces.get(select) ??
        new ruff.Workspace({ 'target-version': TARGET_VERSION, lint: { select } }, UTF8)
      workspaces.set(select, workspace)
      return workspace.check(text)
    } catch {
      ruff = undefined
      for (const workspace of workspaces.values()) abandon(workspace)
      workspaces.clear()
      return undefined
    }
  }
  const syntax = rules.filter((rule) => SYNTAX_RULES.has(rule))
  return { check: (text) => check(text, rules), checkSyntax: (text) => check(text, syntax) }
}

/**
 * Frees the workspace now. The garbage collector would also free it, but in a broken instance that throws an error that
 * nothing can catch.
 */
function abandon(workspace: RuffWorkspace): void {
  try {
    workspace.free()
  } catch {
    // Its memory is released with the instance.
  }
}
