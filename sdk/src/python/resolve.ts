import type { Scopes, Scope } from './scopes.ts'
import { childOf, stringValue, textOf, type PyNode, type SyntaxTree } from './syntax.ts'

/**
 * Finds what an expression refers to, through imports, aliases and `getattr` with a literal: `o.system` is `os.system`
 * after `import os as o`. Builtins are `builtins.x`. The result is a list, because a name may be bound in several
 * places; it is empty if unknown.
 */
export interface Resolver {
  paths(node: PyNode): readonly string[]
}

export interface ResolverOptions {
  /**
   * Whether `from <module> import *` may bind this name. This concerns modules of the app; packages are assumed not to
   * bind names of builtins.
   */
  readonly starBinds: (from: Scope['stars'][number], name: string) => boolean
  /** Names that count as bound to something unknown. */
  readonly unknown: ReadonlySet<string>
}

/** No rule looks for the result of longer chains of attributes or aliases. */
const MAX_DEPTH = 12
const NOTHING: readonly string[] = []
/** Functions whose result can be resolved. */
const CALLS = new Set([
  'builtins.globals', 'builtins.vars', 'builtins.getattr', 'builtins.__import__', 'importlib.import_module',
]) // prettier-ignore

export function createResolver(tree: SyntaxTree, scopes: Scopes, options: ResolverOptions): Resolver {
  const known = new Map<Scope, Map<string, readonly string[]>>()

  const named = (name: string, start: Scope, depth: number): readonly string[] => {
    const found = scopes.lookup(name, start)
    const scope = found?.scope ?? scopes.module
    let memo = known.get(scope)
    if (!memo) known.set(scope, (memo = new Map()))
    const before = memo.get(name)
    if (before) return before
    memo.set(name, NOTHING) // stops `a = b; b = a`
    const paths = found ? bound(found.bindings, depth) : unbound(name)
    memo.set(name, paths)
    return paths
  }

  const bound = (
    bindings: NonNullable<ReturnType<Scopes['lookup']>>['bindings'],
    depth: number,
  ): readonly string[] => {
    const paths = new Set<string>()
    for (const binding of bindings) {
      if (binding.kind === 'import') paths.add(binding.path)
      if (binding.kind === 'value') for (const path of resolve(binding.value, depth + 1)) paths.add(path)
    }
    return [...paths]
  }

  const unbound = (name: string): readonly string[] => {
    if (options.unknown.has(name)) return NOTHING
    if (name === '__builtins__') return ['builtins']
    const { stars } = scopes.module // Python allows a star import nowhere else
    if (stars.some((from) => options.starBinds(from, name))) return NOTHING
    return [...stars.map((from) => `${'.'.repeat(from.level)}${from.module}.${name}`), `builtins.${name}`]
  }

  const call = (node: PyNode, depth: number): readonly string[] => {
    const callee = childOf(node, 'function')
    if (!callee || (callee.type !== 'identifier' && callee.type !== 'attribute')) return NOTHING
    const called = resolve(callee, depth + 1)
    if (!called.some((path) => CALLS.has(path))) return NOTHING
    const list = childOf(node, 'arguments')
    const [first, second] = list?.type === 'argument_list' ? list.children : []
    return called.flatMap((path) => {
      if (path === 'builtins.globals') return ['globals()']
      if (!first) return []
      if (path === 'builtins.vars') return resolve(first, depth + 1).map((of) => `${of}.__dict__`)
      if (path === 'builtins.getattr') return member(resolve(first, depth + 1), stringValue(tree, second))
      if (path === 'builtins.__import__' || path === 'importlib.import_module') {
        const module = stringValue(tree, first)
        return module ? [module] : []
      }
      return []
    })
  }

  const subscript = (node: PyNode, depth: number): readonly string[] => {
    const key = stringValue(tree, childOf(node, 'subscript'))
    const value = childOf(node, 'value')
    if (key === undefined || !value) return NOTHING
    return resolve(value, depth + 1).flatMap((path) => {
      if (path === 'sys.modules') return [key]
      if (path === 'globals()') return key === '__builtins__' ? ['builtins'] : []
      if (path === 'builtins') return [`builtins.${key}`]
      return path.endsWith('.__dict__') ? [`${path.slice(0, -'.__dict__'.length)}.${key}`] : []
    })
  }

  const resolve = (node: PyNode | undefined, depth: number): readonly string[] => {
    if (!node || depth > MAX_DEPTH) return NOTHING
    switch (node.type) {
      case 'identifier':
        return named(textOf(tree, node), scopes.scopeOf(node), depth)
      case 'attribute': {
        const name = childOf(node, 'attribute')
        return member(resolve(childOf(node, 'object'), depth + 1), name && textOf(tree, name))
      }
      case 'call':
        return call(node, depth)
      case 'subscript':
        return subscript(node, depth)
      case 'parenthesized_expression':
        return resolve(node.children[0], depth + 1)
      case 'named_expression':
        return resolve(childOf(node, 'value'), depth + 1)
      default:
        return NOTHING
    }
  }

  return { paths: (node) => resolve(node, 0) }
}

function member(paths: readonly string[], name: string | undefined): readonly string[] {
  return name === undefined || paths.length === 0 ? NOTHING : paths.map((path) => `${path}.${name}`)
}
