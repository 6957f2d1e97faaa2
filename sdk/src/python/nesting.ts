import type { SyntaxTree } from './syntax.ts'

/** CPython's limits: "too many nested parentheses", "too many levels of indentation". */
const MAX_BRACKETS = 200
const MAX_INDENTS = 99
/**
 * Less than half of the depth that overflows ruff's stack with any code (1,300 nodes for nested f-strings, 2,000 for
 * sums).
 */
const MAX_TREE_DEPTH = 600

export interface NestingProblem {
  readonly offset: number
  /** Whether Python also refuses the file. */
  readonly refused: boolean
  readonly message: string
}

/**
 * Finds code that is nested too deeply for a recursive parser before ruff reads it, because a stack overflow makes
 * ruff's memory unusable. Brackets and indents are counted in the text, because the tree of broken code may not show
 * their depth.
 */
export function findNestingProblem(text: string, tree: SyntaxTree | undefined): NestingProblem | undefined {
  const brackets = deepBracket(text)
  if (brackets !== undefined) {
    return {
      offset: brackets,
      refused: true,
      message: `More than ${MAX_BRACKETS} brackets are open here; Python allows no more.`,
    }
  }
  const indent = deepIndent(text)
  if (indent !== undefined) {
    return {
      offset: indent,
      refused: true,
      message: `More than ${MAX_INDENTS} blocks are nested here; Python allows no more.`,
    }
  }
  if (tree && tree.depth <= MAX_TREE_DEPTH && !(tree.hasError && PREFIX_RUN.test(text))) return undefined
  const message = 'This file is nested too deeply to be checked in full. Split long expressions into steps.'
  return { offset: 0, refused: false, message }
}

/** Prefix operators and f-strings nest without brackets, and broken ones do not appear in the tree. */
const PREFIX_RUN =
  /(?:(?:not|await|lambda *:|if \w{1,20} else|[-+~*]|[ft]["'] ?\{|\w{1,20} if \w{1,20} else)\s*){150}/i

const TOKENS =
  /#[^\n]*|("""|''')(?:[^\\]|\\[^])*?(?:\1|$(?![^]))|"(?:[^"\\\n]|\\[^])*"?|'(?:[^'\\\n]|\\[^])*'?|[([{]|[)\]}]/g

function deepBracket(text: string): number | undefined {
  if ((text.match(/[([{]/g)?.length ?? 0) <= MAX_BRACKETS) return undefined
  let depth = 0
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if (token === '(' || token === '[' || token === '{') {
      depth += 1
      if (depth > MAX_BRACKETS) return index
    } else if (token === ')' || token === ']' || token === '}') depth = Math.max(0, depth - 1)
  }
  return undefined
}

/**
 * The first line with too many distinct indents around it. Lines inside strings count too, but in practice they are not
 * indented that deeply.
 */
function deepIndent(text: string): number | undefined {
  const open: number[] = []
  for (const { 1: indent = '', index } of text.matchAll(/^([ \t]*)[^\s#]/gm)) {
    while (open.length > 0 && (open.at(-1) ?? 0) >= indent.length) open.pop()
    if (indent.length > 0) open.push(indent.length)
    if (open.length > MAX_INDENTS) return index
  }
  return undefined
}
