import { findImports, type PyImport } from './imports.ts'
import { bindingsOf } from './bindings.ts'
import { textOf, type PyNode, type SyntaxTree } from './syntax.ts'

/** What a name stands for at one place that binds it. */
export type Binding =
  | {
      readonly kind: 'import'
      readonly site: PyNode
      readonly path: string
      readonly from: PyImport
      readonly name: string
    }
  | { readonly kind: 'value'; readonly site: PyNode; readonly value: PyNode }
  | { readonly kind: 'function'; readonly site: PyNode; readonly definition: PyNode }
  | { readonly kind: 'class'; readonly site: PyNode; readonly definition: PyNode }
  /** Part of a tuple, a loop variable, a parameter, …: bound, to something unknown. */
  | { readonly kind: 'unpacked' | 'other' | 'annotation'; readonly site: PyNode; readonly value?: PyNode }

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
  /** Whether this identifier gives a name a value rather than using it. */
  isBindingSite(node: PyNode): boolean
  lookup(name: string, scope: Scope): { scope: Scope; bindings: readonly Binding[] } | undefined
}

const COMPREHENSIONS = new Set([
  'list_comprehension', 'set_comprehension', 'dictionary_comprehension', 'generator_expression',
]) // prettier-ignore

/** Python's scoping: functions, classes, lambdas and comprehensions; class names are unseen from their methods. */
export function analyseScopes(tree: SyntaxTree): Scopes {
  const module = newScope('module', null)
  const scopes: Scope[] = []
  const inner = new Map<PyNode, Scope>()
  for (const node of tree.nodes) {
    const outer = node.parent ? scopeInside(node, node.parent, scopes, inner) : module
    scopes[node.index] = outer
    const kind = scopeKind(node)
    if (kind) inner.set(node, newScope(kind, outer))
    if (node.type === 'global_statement' || node.type === 'nonlocal_statement') {
      const where = node.type === 'global_statement' ? 'global' : 'nonlocal'
      for (const name of node.children) outer.outside.set(textOf(tree, name), where)
    }
  }
  const scopeOf = (node: PyNode): Scope => scopes[node.index] ?? module
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
  for (const node of tree.nodes) {
    for (const { name, binding, inside } of bindingsOf(tree, node)) {
      let scope = inside ? (inner.get(node) ?? scopeOf(node)) : scopeOf(node)
      // `(x := …)` in a comprehension binds in the function around it.
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

/** The scope in which a `global` or `nonlocal` declaration puts a name, else the scope itself. */
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

function scopeKind(node: PyNode): Scope['kind'] | undefined {
  if (node.type === 'function_definition' || node.type === 'lambda') return 'function'
  if (node.type === 'class_definition') return 'class'
  return COMPREHENSIONS.has(node.type) ? 'comprehension' : undefined
}

/** Defaults, annotations and base classes are evaluated around a definition, only its body inside. */
function scopeInside(
  node: PyNode,
  parent: PyNode,
  scopes: readonly Scope[],
  inner: Map<PyNode, Scope>,
): Scope {
  const own = inner.get(parent)
  const around = scopes[parent.index]
  if (own && (own.kind === 'comprehension' || node.field === 'body')) return own
  return around ?? (own as Scope)
}
