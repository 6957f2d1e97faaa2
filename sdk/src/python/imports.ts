import { guardsOf } from './guards.ts'
import { childOf, dottedText, textOf, type PyNode, type SyntaxTree } from './syntax.ts'

/** One `import a.b as c` or one `from x import a, b`. `import a, b` counts as two. */
export interface PyImport {
  readonly kind: 'import' | 'from'
  /** The number of leading dots. */
  readonly level: number
  /** The name after the dots; '' for `from . import x`. */
  readonly module: string
  readonly names: readonly ImportedName[]
  readonly star: boolean
  readonly statement: PyNode
  /** The node to which a finding about the module is attached. */
  readonly node: PyNode
  /** False inside functions and under `if TYPE_CHECKING:`, which do not run when the file is loaded. */
  readonly runsOnLoad: boolean
}

export interface ImportedName {
  /** '' for the module of a plain import. */
  readonly name: string
  /** The variable that is bound: for `import a.b` it is `a`. */
  readonly binds: string
  readonly node: PyNode
  readonly aliased: boolean
}

export function findImports(tree: SyntaxTree): PyImport[] {
  const found: PyImport[] = []
  for (const node of tree.ofType('import_statement', 'import_from_statement', 'future_import_statement')) {
    if (node.type === 'import_statement') found.push(...plainImports(tree, node))
    else if (node.type === 'import_from_statement') found.push(fromImport(tree, node))
    else found.push(futureImport(tree, node))
  }
  return found
}

function futureImport(tree: SyntaxTree, node: PyNode): PyImport {
  const names = importedNames(tree, node)
  return {
    ...shared(tree, node),
    kind: 'from',
    level: 0,
    module: '__future__',
    names,
    star: false,
    node,
  }
}

function plainImports(tree: SyntaxTree, statement: PyNode): PyImport[] {
  return statement.children
    .filter((child) => child.field === 'name')
    .map((child) => {
      const alias = childOf(child, 'alias')
      const node = childOf(child, 'name') ?? child
      const module = dottedText(tree, node)
      const binds = alias ? textOf(tree, alias) : (module.split('.')[0] ?? module)
      const names = [{ name: '', binds, node: alias ?? node, aliased: alias !== undefined }]
      return {
        ...shared(tree, statement),
        kind: 'import' as const,
        level: 0,
        module,
        names,
        star: false,
        node,
      }
    })
}

function fromImport(tree: SyntaxTree, statement: PyNode): PyImport {
  const from = childOf(statement, 'module_name')
  const relative = from?.type === 'relative_import'
  const prefix = relative ? from.children.find((child) => child.type === 'import_prefix') : undefined
  const dotted = relative ? from.children.find((child) => child.type === 'dotted_name') : from
  return {
    ...shared(tree, statement),
    kind: 'from',
    level: prefix ? textOf(tree, prefix).replace(/[^.]/g, '').length : 0,
    module: dotted ? dottedText(tree, dotted) : '',
    names: importedNames(tree, statement),
    star: statement.children.some((child) => child.type === 'wildcard_import'),
    node: from ?? statement,
  }
}

function importedNames(tree: SyntaxTree, statement: PyNode): ImportedName[] {
  return statement.children
    .filter((child) => child.field === 'name')
    .map((child) => {
      const alias = childOf(child, 'alias')
      const node = childOf(child, 'name') ?? child
      const name = dottedText(tree, node)
      return { name, binds: alias ? textOf(tree, alias) : name, node, aliased: alias !== undefined }
    })
}

function shared(tree: SyntaxTree, statement: PyNode): { statement: PyNode; runsOnLoad: boolean } {
  return { statement, runsOnLoad: guardsOf(tree).runsOnLoad(statement) }
}
