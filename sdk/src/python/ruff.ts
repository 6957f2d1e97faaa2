import { SYNTAX_RULES } from './lint-rules.ts'

/** One diagnostic of ruff; rows and columns from 1, columns in UTF-8 bytes. */
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

/** What `@astral-sh/ruff-wasm-nodejs` and `-web` have in common. */
export interface RuffModule {
  readonly Workspace: new (options: unknown, encoding: number) => RuffWorkspace
}

export interface PythonLinter {
  /** undefined when ruff could not read this text. Never throws. */
  check(text: string): readonly RuffDiagnostic[] | undefined
  /** Errors that Python does not compile. */
  checkSyntax(text: string): readonly RuffDiagnostic[] | undefined
}

/** Apps run on this version; newer syntax is a syntax error. */
const TARGET_VERSION = 'py311'
/** UTF-8 columns: ruff counts others anew for each diagnostic, which takes quadratic time in a long line. */
const UTF8 = 0

/**
 * The linter over ruff. A panic or a stack overflow inside the WebAssembly code leaves its memory unusable, so the instance
 * is given up and `load` asked for a fresh one. Where there is none (`load` returns undefined), checks end there.
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

/** Frees the result here. The garbage collector would free it too, but in a broken instance that throws where nothing can catch it. */
function abandon(workspace: RuffWorkspace): void {
  try {
    workspace.free()
  } catch {
    // Its memory goes with the instance.
  }
}
