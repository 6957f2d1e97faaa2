import type { Language, Parser as TreeSitter, Tree, TreeCursor } from 'web-tree-sitter'
import { SyntaxTree, TreeGrower, type PyNode } from './tree.ts'

export { SyntaxTree, type PyNode }

export interface PythonParser {
  /** Returns undefined if the parser failed on this text. Never throws. */
  parse(text: string): SyntaxTree | undefined
}

/** tree-sitter takes quadratic time for a run of empty continued lines. Ordinary code has only a few. */
const CONTINUED_LINES = /(?:\\\n[ \t]*){50,}/g

/**
 * A parser that uses web-tree-sitter. `create` returns an initialised parser with the Python grammar. It is called
 * again only after an error in the WebAssembly code.
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

/**
 * The types of a grammar, by their numbers. The last number is for errors, to which tree-sitter gives a number above
 * all types.
 */
interface Types {
  readonly names: readonly string[]
  /** Whether nodes of a type are named. Cached, because each question to the cursor is a call into WebAssembly. */
  readonly named: (boolean | undefined)[]
  readonly isLeaf: readonly boolean[]
  readonly string: number
  readonly fields: readonly (string | null)[]
  readonly fieldNumbers: ReadonlyMap<string | null, number>
}

const typesOf = new WeakMap<Language, Types>()

function readTypes(language: Language): Types {
  const known = typesOf.get(language)
  if (known) return known
  const names = [...Array.from(language.types, (name) => name || 'ERROR'), 'ERROR']
  const named: Types['named'] = names.map(() => undefined)
  named[names.length - 1] = true
  const isLeaf = names.map((name) => LEAVES.has(name))
  const { fields } = language
  const fieldNumbers = new Map(fields.map((name, at) => [name, at]))
  const types = { names, named, isLeaf, string: names.indexOf('string'), fields, fieldNumbers }
  typesOf.set(language, types)
  return types
}

/** Reused for all trees, so that it has already grown to the size of large files. */
const grower = new TreeGrower()

function flatten(cursor: TreeCursor, text: string, { language, rootNode }: Tree): SyntaxTree {
  const { names, named, isLeaf, string, fields, fieldNumbers } = readTypes(language)
  const error = names.length - 1
  grower.size = 0
  let parent = -1
  let level = 0
  let depth = 0
  for (;;) {
    const type = Math.min(cursor.nodeTypeId, error)
    // Anonymous nodes are tokens without named children. No rule looks inside plain strings.
    if ((named[type] ??= cursor.nodeIsNamed)) {
      const start = cursor.startIndex
      const here = grower.add(type, cursor.currentFieldId, start, cursor.endIndex, parent)
      if (type === string ? isFormatted(text, start) : !isLeaf[type]) {
        if (cursor.gotoFirstChild()) {
          parent = here
          level += 1
          depth = Math.max(depth, level)
          continue
        }
      }
    }
    while (!cursor.gotoNextSibling()) {
      if (!cursor.gotoParent()) {
        const { hasError } = rootNode
        const grammar = { typeNames: names, fieldNames: fields, fieldNumbers }
        return new SyntaxTree({ text, ...grammar, depth, hasError, ...grower.take() })
      }
      grower.close(parent)
      parent = grower.parentOf(parent)
      level -= 1
    }
  }
}

function isFormatted(text: string, start: number): boolean {
  return /^[a-z]{0,2}f/i.test(text.slice(start, start + 3))
}

const LEAVES = new Set(['comment', 'identifier', 'integer', 'float', 'true', 'false', 'none', 'ellipsis'])

export function textOf(tree: SyntaxTree, node: PyNode): string {
  return tree.text.slice(node.start, node.end)
}

export function childOf(node: PyNode, field: string): PyNode | undefined {
  return node.child(field)
}

/** The text of a dotted_name: `a . b` becomes `a.b`. */
export function dottedText(tree: SyntaxTree, node: PyNode): string {
  return node.children.length > 0
    ? node.children.map((part) => textOf(tree, part)).join('.')
    : textOf(tree, node)
}

/** The value of a plain string literal with one part and without escapes; otherwise undefined. */
export function stringValue(tree: SyntaxTree, node: PyNode | undefined): string | undefined {
  if (node?.type !== 'string') return undefined
  return /^[rub]?("""|'''|"|')([^\\]*)\1$/is.exec(textOf(tree, node))?.[2]
}
