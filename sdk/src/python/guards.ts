import { truthOf } from './static-conditions.ts'
import { childOf, type PyNode, type SyntaxTree } from './syntax.ts'

/** Which code runs when the platform loads a file. */
export interface Guards {
  /** False inside functions and under `if TYPE_CHECKING:`. */
  runsOnLoad(node: PyNode): boolean
  /**
   * True under `if __name__ == "__main__":`, `if TYPE_CHECKING:` or a condition on another system or Python version.
   * The platform never runs such code.
   */
  neverRuns(node: PyNode): boolean
  /**
   * True inside a `try:` that catches ImportError, or under `suppress(ImportError)`: a failed import there is handled.
   */
  mayFail(node: PyNode): boolean
}

const TYPE_CHECKING = /^\(*\s*(?:\w+\.)?TYPE_CHECKING\s*\)*$/
const MAIN_GUARD = /^\(*\s*(?:__name__\s*==\s*(["'])__main__\1|(["'])__main__\2\s*==\s*__name__)\s*\)*$/
/** `except:`, or an `except` clause that catches the exception of a failed import. */
const CATCHES = /^except\s*(?::|.*\b(?:ImportError|ModuleNotFoundError|Exception|BaseException)\b)/s
const SUPPRESS = /\bsuppress\s*\(.*\b(?:ImportError|ModuleNotFoundError|Exception|BaseException)\b/s
const MAX_CONDITION = 100
/** The fields whose code runs under a condition, or whose errors are handled. */
const GUARDED = new Set(['body', 'consequence', 'alternative'])

const IN_FUNCTION = 1
const TYPES_ONLY = 2
const MAIN_ONLY = 4
const HANDLED = 8
const NEVER = 16

const known = new WeakMap<SyntaxTree, Guards>()

/**
 * Computed in one pass over the tree and cached: walking to the root for each node would take quadratic time in deep
 * code.
 */
export function guardsOf(tree: SyntaxTree): Guards {
  const before = known.get(tree)
  if (before) return before
  const flags = new Uint8Array(tree.size)
  const { parents, fields } = tree.data
  const isGuarded = tree.data.fieldNames.map((name) => name !== null && GUARDED.has(name))
  for (let at = 1; at < tree.size; at++) {
    const parent = parents[at] ?? 0
    const own = isGuarded[fields[at] ?? 0] ? ownFlags(tree, tree.node(at), tree.node(parent)) : 0
    flags[at] = (flags[parent] ?? 0) | own
  }
  const guards: Guards = {
    runsOnLoad: (node) => ((flags[node.index] ?? 0) & (IN_FUNCTION | TYPES_ONLY | NEVER)) === 0,
    mayFail: (node) => ((flags[node.index] ?? 0) & HANDLED) !== 0,
    neverRuns: (node) => ((flags[node.index] ?? 0) & (MAIN_ONLY | TYPES_ONLY | NEVER)) !== 0,
  }
  known.set(tree, guards)
  return guards
}

function ownFlags(tree: SyntaxTree, node: PyNode, parent: PyNode): number {
  if (node.field === 'body' && parent.type === 'function_definition') return IN_FUNCTION
  if (node.field === 'body' && parent.type === 'try_statement')
    return handlesImportErrors(tree, parent) ? HANDLED : 0
  if (node.field === 'body' && parent.type === 'with_statement') {
    return SUPPRESS.test(tree.text.slice(parent.start, Math.min(node.start, parent.start + MAX_CONDITION)))
      ? HANDLED
      : 0
  }
  const isBranch = node.field === 'consequence' || node.field === 'alternative'
  if (!isBranch || parent.type !== 'if_statement') return 0
  const test = childOf(parent, 'condition')
  if (!test || test.end - test.start > MAX_CONDITION) return 0
  const condition = tree.text.slice(test.start, test.end)
  if (truthOf(condition) === (node.field === 'alternative')) return NEVER
  if (node.field === 'alternative') return 0
  if (TYPE_CHECKING.test(condition)) return TYPES_ONLY
  return MAIN_GUARD.test(condition) ? MAIN_ONLY : 0
}

function handlesImportErrors(tree: SyntaxTree, statement: PyNode): boolean {
  return statement.children.some((clause) => {
    if (clause.type !== 'except_clause') return false
    const block = clause.children.at(-1)
    return CATCHES.test(
      tree.text.slice(clause.start, Math.min(block?.start ?? clause.end, clause.start + MAX_CONDITION)),
    )
  })
}
