import type { Parser as TreeSitter, Tree, TreeCursor } from 'web-tree-sitter'

/** A named node of the syntax tree as a plain object: it holds no memory of the WebAssembly heap. */
export interface PyNode {
  readonly type: string
  /** The role in the parent, such as `left` or `body`. */
  readonly field: string | null
  /** Offsets in UTF-16 code units. */
  readonly start: number
  readonly end: number
  readonly parent: PyNode | null
  readonly children: readonly PyNode[]
  /** The place in `SyntaxTree.nodes`. */
  readonly index: number
}

export interface SyntaxTree {
  readonly text: string
  /** All named nodes, parents before children: rules loop over this, so that no nesting can overflow the stack. */
  readonly nodes: readonly PyNode[]
  readonly depth: number
  readonly hasError: boolean
}

export interface PythonParser {
  /** undefined when the parser gave up on this text. Never throws. */
  parse(text: string): SyntaxTree | undefined
}

/** tree-sitter needs quadratic time for a run of empty continued lines; no person writes more than a few. */
const CONTINUED_LINES = /(?:\\\n[ \t]*){50,}/g

/**
 * The parser over web-tree-sitter. `create` makes an initialised parser with the Python grammar; it is called again
 * only after a parser was lost to an error inside the WebAssembly code.
 */
export function createParser(create: () => TreeSitter): PythonParser {
  let parser: TreeSitter | undefined
  return {
    parse(text) {
      try {
        parser ??= create()
        const tree = parser.parse(text.replace(CONTINUED_LINES, (run) => run.replaceAll('\\', ' ')))
        if (!tree) return undefined
        try {
          const cursor = tree.walk()
          try {
            return flatten(cursor, text, tree)
          } finally {
            cursor.delete()
          }
        } finally {
          tree.delete()
        }
      } catch {
        parser = undefined
        return undefined
      }
    },
  }
}

type Growing = PyNode & { children: PyNode[] }

/** Shared by all nodes without children, which most are: their arrays would be half of the tree's memory. */
const NO_CHILDREN: PyNode[] = []
/** Whether nodes of a type are named, by the type's number: each question to the cursor is a call into WebAssembly. */
const named: boolean[] = []

function flatten(cursor: TreeCursor, text: string, { language, rootNode }: Tree): SyntaxTree {
  const nodes: PyNode[] = []
  const { types, fields } = language
  const { hasError } = rootNode
  let parent: Growing | null = null
  let level = 0
  let depth = 0
  for (;;) {
    let here: Growing | null = null
    const id = cursor.nodeTypeId
    // An error has a number beyond all types.
    if (id >= types.length || (named[id] ??= cursor.nodeIsNamed)) {
      const type = types[id] || 'ERROR'
      const field = fields[cursor.currentFieldId] ?? null
      const { startIndex: start, endIndex: end } = cursor
      const node: Growing = { type, field, start, end, parent, children: NO_CHILDREN, index: nodes.length }
      nodes.push(node)
      if (parent) {
        if (parent.children === NO_CHILDREN) parent.children = [node]
        else parent.children.push(node)
      }
      here = node
    }
    // Anonymous nodes are tokens without named children; plain strings hold nothing that a rule looks at.
    if (here && isOpen(here, text) && cursor.gotoFirstChild()) {
      parent = here
      level += 1
      depth = Math.max(depth, level)
      continue
    }
    while (!cursor.gotoNextSibling()) {
      if (!cursor.gotoParent()) return { text, nodes, depth, hasError }
      parent = parent?.parent as Growing | null
      level -= 1
    }
  }
}

function isOpen(node: PyNode, text: string): boolean {
  if (node.type === 'string') return /^[a-z]{0,2}f/i.test(text.slice(node.start, node.start + 3))
  return !LEAVES.has(node.type)
}

const LEAVES = new Set(['comment', 'identifier', 'integer', 'float', 'true', 'false', 'none', 'ellipsis'])

export function textOf(tree: SyntaxTree, node: PyNode): string {
  return tree.text.slice(node.start, node.end)
}

export function childOf(node: PyNode, field: string): PyNode | undefined {
  return node.children.find((child) => child.field === field)
}

/** `a . b` as `a.b`, from a dotted_name. */
export function dottedText(tree: SyntaxTree, node: PyNode): string {
  return node.children.length > 0
    ? node.children.map((part) => textOf(tree, part)).join('.')
    : textOf(tree, node)
}

/** The value of a plain one-part string literal without escapes, else undefined. */
export function stringValue(tree: SyntaxTree, node: PyNode | undefined): string | undefined {
  if (node?.type !== 'string') return undefined
  return /^[rub]?("""|'''|"|')([^\\]*)\1$/is.exec(textOf(tree, node))?.[2]
}
