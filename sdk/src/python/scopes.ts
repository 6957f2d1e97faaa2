import { findImports, type PyImport } from './imports.ts'
import { BINDING, bindingsOf, type Binding } from './bindings.ts'
import { textOf, type PyNode, type SyntaxTree } from './syntax.ts'

export interface Scope {
  readonly kind: 'module' | 'class' | 'function' | 'comprehension'
  readonly parent: Scope | null
  readonly bindings: Map<string, Binding[]>
  readonly stars: PyImport[]
  /** Names declared `global` or `nonlocal` here. */
  readonly outside: Map<string, 'global' | 'nonlocal'>
}

export interface Scopes {
  readonly module: Scope
  readonly imports: readonly PyImport[]
  scopeOf(node: PyNode): Scope
  /** Whether this identifier binds a name instead of reading it. */
  isBindingSite(node: PyNode): boolean
  lookup(name: string, scope: Scope): { scope: Scope; bindings: readonly Binding[] } | undefined
}

const COMPREHENSIONS = new Set([
  'list_comprehension', 'set_comprehension', 'dictionary_comprehension', 'generator_expression',
]) // prettier-ignore

/**
 * Analyses Python's scopes: functions, classes, lambdas and comprehensions. Methods do not see the names of their
 * class.
 */
export function analyseScopes(tree: SyntaxTree): Scopes {
  const module = newScope('module', null)
  const { around, inside } = nest(tree, module)
  const scopeOf = (node: PyNode): Scope => around[node.index] ?? module
  for (const node of tree.ofType('global_statement', 'nonlocal_statement')) {
    const where = node.type === 'global_statement' ? 'global' : 'nonlocal'
    for (const name of node.children) scopeOf(node).outside.set(textOf(tree, name), where)
  }
  const sites = new Set<PyNode>()
  const bind = (name: string, scope: Scope, binding: Binding): void => {
    sites.add(binding.site)
    const target = owner(name, scope, module)
    const list = target.bindings.get(name)
    if (list) list.push(binding)
    else target.bindings.set(name, [binding])
  }

  const imports = findImports(tree)
  for (const from of imports) {
    const scope = scopeOf(from.statement)
    if (from.star) scope.stars.push(from)
    const base = '.'.repeat(from.level) + from.module
    for (const { name, binds, node, aliased } of from.names) {
      const whole = aliased ? base : binds
      const path = from.kind === 'import' ? whole : base.endsWith('.') ? base + name : `${base}.${name}`
      bind(binds, scope, { kind: 'import', site: node, path, from, name })
    }
  }
  for (const node of tree.ofType(...BINDING)) {
    for (const { name, binding, inside: isInside } of bindingsOf(tree, node)) {
      let scope = isInside ? (inside.get(node.index) ?? scopeOf(node)) : scopeOf(node)
      // `(x := …)` in a comprehension binds the name in the scope around the comprehension.
      if (node.type === 'named_expression')
        while (scope.kind === 'comprehension' && scope.parent) scope = scope.parent
      bind(name, scope, binding)
    }
  }
  return { module, imports, scopeOf, isBindingSite: (node) => sites.has(node), lookup: lookupFrom(module) }
}

function lookupFrom(module: Scope): Scopes['lookup'] {
  return (name, start) => {
    for (let scope: Scope | null = start; scope; scope = scope.parent) {
      if (scope.kind === 'class' && scope !== start) continue
      if (scope.outside.get(name) === 'global') scope = module
      const bindings = scope.bindings.get(name)
      if (bindings) return { scope, bindings }
    }
    return undefined
  }
}

/** The scope in which a `global` or `nonlocal` declaration puts a name; without a declaration, the scope itself. */
function owner(name: string, scope: Scope, module: Scope): Scope {
  const where = scope.outside.get(name)
  if (where === 'global') return module
  if (where !== 'nonlocal') return scope
  for (let at = scope.parent; at; at = at.parent)
    if (at.kind === 'function' && at.bindings.has(name)) return at
  return scope
}

function newScope(kind: Scope['kind'], parent: Scope | null): Scope {
  return { kind, parent, bindings: new Map(), stars: [], outside: new Map() }
}

function scopeKind(type: string): Scope['kind'] | undefined {
  if (type === 'function_definition' || type === 'lambda') return 'function'
  if (type === 'class_definition') return 'class'
  return COMPREHENSIONS.has(type) ? 'comprehension' : undefined
}

/**
 * The scope around each node, and for nodes that open a scope the one inside, both by the node's index. Defaults,
 * annotations and base classes are evaluated in the scope around a definition, and only its body inside.
 */
function nest(tree: SyntaxTree, module: Scope): { around: readonly Scope[]; inside: Map<number, Scope> } {
  const { types, parents, fields, fieldNumbers } = tree.data
  const kinds = tree.byType(scopeKind)
  const body = fieldNumbers.get('body')
  const around: Scope[] = []
  const inside = new Map<number, Scope>()
  for (let at = 0; at < tree.size; at++) {
    const parent = parents[at] ?? -1
    const kind = kinds[types[parent] ?? -1]
    const isInside = kind === 'comprehension' || (kind !== undefined && fields[at] === body)
    const scope = (isInside ? inside.get(parent) : around[parent]) ?? module
    around.push(scope)
    const own = kinds[types[at] ?? -1]
    if (own) inside.set(at, newScope(own, scope))
  }
  return { around, inside }
}
