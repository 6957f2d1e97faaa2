import type { PyImport } from './imports.ts'
import { childOf, textOf, type PyNode, type SyntaxTree } from './syntax.ts'

/** What a name refers to at one of the places that bind it. */
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
  /** Part of a tuple, a loop variable, a parameter, …: its value is unknown. */
  | { readonly kind: 'unpacked' | 'other' | 'annotation'; readonly site: PyNode; readonly value?: PyNode }

export interface NamedBinding {
  readonly name: string
  readonly binding: Binding
  /** Whether the name is bound in the scope that the node opens (as parameters are), not in the scope around it. */
  readonly inside?: boolean
}

const NOTHING: readonly NamedBinding[] = []
/**
 * How many assignments of `a = b = c = …` are followed to the value. Without a limit, a long chain would take quadratic
 * time.
 */
const MAX_CHAIN = 20

/** The types of nodes that bind names, except imports. */
export const BINDING = [
  'assignment', 'augmented_assignment', 'for_statement', 'for_in_clause', 'type_alias_statement', 'named_expression',
  'function_definition', 'class_definition', 'lambda', 'as_pattern', 'splat_pattern', 'case_pattern', 'keyword_pattern',
] // prettier-ignore

/** The names that a node of such a type binds directly. */
export function bindingsOf(tree: SyntaxTree, node: PyNode): readonly NamedBinding[] {
  switch (node.type) {
    case 'assignment':
      return assigned(tree, node)
    case 'augmented_assignment':
    case 'for_statement':
    case 'for_in_clause':
    case 'type_alias_statement':
      return others(tree, childOf(node, 'left'))
    case 'named_expression': {
      const value = childOf(node, 'value')
      const site = childOf(node, 'name')
      return site && value ? [{ name: textOf(tree, site), binding: { kind: 'value', site, value } }] : NOTHING
    }
    case 'function_definition': {
      const parameters = others(tree, childOf(node, 'parameters')).map((found) => ({
        ...found,
        inside: true,
      }))
      return [...defined(tree, node, 'function'), ...parameters]
    }
    case 'class_definition':
      return defined(tree, node, 'class')
    case 'lambda':
      return others(tree, childOf(node, 'parameters')).map((found) => ({ ...found, inside: true }))
    case 'as_pattern':
      // In a `case` the alias has no field; elsewhere it is an as_pattern_target.
      return others(
        tree,
        childOf(node, 'alias') ?? node.children.findLast((child) => child.type === 'identifier'),
      )
    case 'splat_pattern':
      return others(tree, node.children[0])
    case 'case_pattern': {
      const name = node.children[0]
      if (name?.type !== 'dotted_name' || name.children.length !== 1) return NOTHING
      return others(tree, name.children[0])
    }
    case 'keyword_pattern': {
      const value = node.children[1]
      return value?.type === 'dotted_name' && value.children.length === 1
        ? others(tree, value.children[0])
        : NOTHING
    }
    default:
      return NOTHING
  }
}

function assigned(tree: SyntaxTree, node: PyNode): readonly NamedBinding[] {
  const left = childOf(node, 'left')
  if (left?.type !== 'identifier') {
    const value = childOf(node, 'right')
    return others(tree, left).map(({ name, binding: { site } }) => ({
      name,
      binding: value ? { kind: 'unpacked', site, value } : { kind: 'other', site },
    }))
  }
  const name = textOf(tree, left)
  let value = childOf(node, 'right')
  if (!value) return [{ name, binding: { kind: 'annotation', site: left } }]
  for (let i = 0; i < MAX_CHAIN && value?.type === 'assignment'; i++) value = childOf(value, 'right')
  if (!value) return [{ name, binding: { kind: 'other', site: left } }]
  return [{ name, binding: { kind: 'value', site: left, value } }]
}

function defined(tree: SyntaxTree, definition: PyNode, kind: 'function' | 'class'): readonly NamedBinding[] {
  const site = childOf(definition, 'name')
  return site ? [{ name: textOf(tree, site), binding: { kind, site, definition } }] : NOTHING
}

const UNBOUND_FIELDS = new Set(['type', 'value', 'attribute', 'object', 'subscript'])
const TARGETS = new Set([
  'parameters', 'lambda_parameters', 'pattern_list', 'tuple_pattern', 'list_pattern', 'tuple', 'list', 'list_splat_pattern',
  'dictionary_splat_pattern', 'list_splat', 'parenthesized_expression', 'default_parameter', 'typed_parameter',
  'typed_default_parameter', 'as_pattern_target', 'type', 'expression_list',
]) // prettier-ignore

/** All identifiers of an assignment target or a parameter list, without their values. */
function others(tree: SyntaxTree, target: PyNode | undefined): readonly NamedBinding[] {
  if (!target) return NOTHING
  const found: NamedBinding[] = []
  const open = [target]
  for (let node = open.pop(); node; node = open.pop()) {
    if (node.type === 'identifier')
      found.push({ name: textOf(tree, node), binding: { kind: 'other', site: node } })
    else if (TARGETS.has(node.type)) {
      for (const child of node.children)
        if (!child.field || !UNBOUND_FIELDS.has(child.field)) open.push(child)
    }
  }
  return found
}
