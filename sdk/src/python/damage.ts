import type { PyNode, SyntaxTree } from './syntax.ts'

/**
 * The parts of a file with syntax errors that can still be checked. tree-sitter always returns a tree, but near an
 * error the tree is a guess, and rules would report false findings. So damaged simple statements are skipped, while
 * complete statements before, after and inside a damaged block are checked.
 */
export interface Damage {
  isDamaged(node: PyNode): boolean
  /** Names that the damaged parts may define. They count as defined. */
  readonly maybeDefined: ReadonlySet<string>
}

const COMPOUND = new Set([
  'module', 'block', 'ERROR', 'function_definition', 'class_definition', 'decorated_definition', 'if_statement',
  'elif_clause', 'else_clause', 'for_statement', 'while_statement', 'try_statement', 'except_clause', 'finally_clause',
  'with_statement', 'match_statement', 'case_clause',
]) // prettier-ignore
const DEFINING = /\b(?:def|class|as|import|for|,)\s*([^\W\d]\w*)|([^\W\d]\w*)\s*(?::[^=\n]{0,80})?=(?!=)/g
/** How much text of the damaged parts is read. It is only used for guesses. */
const MAX_DAMAGED_TEXT = 20_000

const NONE: Damage = { isDamaged: () => false, maybeDefined: new Set() }

/** `trustedUntil`: everything from this offset on is damaged, for example after a string without closing quotes. */
export function findDamage(tree: SyntaxTree, trustedUntil = Number.POSITIVE_INFINITY): Damage {
  if (!tree.hasError && trustedUntil === Number.POSITIVE_INFINITY) return NONE
  const roots = new Set<PyNode>()
  for (const node of tree.ofType('ERROR')) {
    let at = node
    while (at.parent && !COMPOUND.has(at.parent.type)) at = at.parent
    roots.add(at)
  }
  const damaged = new Uint8Array(tree.size)
  for (const { index } of roots) damaged[index] = 1
  const isStatement = tree.byType((name) => /_(?:statement|definition)$/.test(name))
  const { types, parents, starts } = tree.data
  for (let at = 0; at < tree.size; at++) {
    const parent = parents[at] ?? -1
    // A complete statement is trusted, even if the code around it is broken.
    const isWhole = isStatement[types[at] ?? 0] === true && tree.typeAt(parent) === 'ERROR'
    if ((damaged[parent] === 1 && !isWhole) || (starts[at] ?? 0) >= trustedUntil) damaged[at] = 1
  }
  const maybeDefined = new Set<string>()
  let budget = MAX_DAMAGED_TEXT
  for (const root of roots) {
    if (budget <= 0) break
    // From the start of the line, because in `def input(:` the error may begin after the name.
    const start = tree.text.lastIndexOf('\n', root.start) + 1
    const text = tree.text.slice(start, Math.min(root.end, start + budget))
    budget -= text.length + 1
    for (const match of text.matchAll(DEFINING)) maybeDefined.add(match[1] ?? match[2] ?? '')
  }
  return { isDamaged: (node) => damaged[node.index] === 1, maybeDefined }
}
