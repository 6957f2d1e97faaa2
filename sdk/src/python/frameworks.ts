import { guardsOf } from './guards.ts'
import type { PythonFile } from './python-file.ts'
import { childOf, textOf, type PyNode } from './syntax.ts'

const FRAMEWORKS = new Set(['FastAPI', 'FastHTML', 'Starlette', 'fast_app'])
const NAME = /\b(?:FastAPI|FastHTML|Starlette|fast_app)\b/

/**
 * Whether a value is a new instance of a framework: `FastAPI(…)`, `fast_app()`, a subclass, or a call of a function in
 * this file that returns one.
 */
export function isFrameworkCall(file: PythonFile, value: PyNode): boolean {
  const callee = calleeOf(value)
  if (!callee) return false
  if (isFramework(file, callee, 0)) return true
  if (callee.type !== 'identifier') return false
  const bindings = file.scopes.module.bindings.get(textOf(file.tree, callee)) ?? []
  return bindings.some(
    ({ kind, ...rest }) =>
      kind === 'function' && makesApp(file, (rest as { definition: PyNode }).definition, false),
  )
}

/** Whether this is a plain function that can be called without arguments and returns an instance of a framework. */
export function makesApp(file: PythonFile, definition: PyNode, withoutArguments = true): boolean {
  if (definition.parent?.type === 'decorated_definition' || isAsync(file, definition)) return false
  if (withoutArguments && requiredParameters(file, definition).length > 0) return false
  const text = textOf(file.tree, definition)
  if (!/\breturn\b/.test(text) || !NAME.test(text)) return false
  const type = childOf(definition, 'return_type')
  if (type && isFramework(file, type.children[0] ?? type, 0)) return true
  return returnedBy(definition).some((value) => {
    if (isInstance(file, value)) return true
    if (value.type !== 'identifier') return false
    const found = file.scopes.lookup(textOf(file.tree, value), file.scopes.scopeOf(value))
    return (
      found !== undefined &&
      found.scope !== file.scopes.module &&
      found.bindings.some((binding) => 'value' in binding && binding.value && isInstance(file, binding.value))
    )
  })
}

function returnedBy(definition: PyNode): PyNode[] {
  const found: PyNode[] = []
  const { tree, index } = definition
  const end = tree.data.nexts[index] ?? 0
  for (let at = index + 1; at < end; at++) {
    const value = tree.typeAt(at) === 'return_statement' ? tree.node(at).children[0] : undefined
    if (value) found.push(value)
  }
  return found
}

function isInstance(file: PythonFile, value: PyNode): boolean {
  const callee = calleeOf(value)
  return callee !== undefined && isFramework(file, callee, 0)
}

function calleeOf(value: PyNode): PyNode | undefined {
  let node: PyNode | undefined = value
  for (
    let i = 0;
    i < 10 && (node?.type === 'parenthesized_expression' || node?.type === 'named_expression');
    i++
  ) {
    node = childOf(node, 'value') ?? node.children[0]
  }
  return node?.type === 'call' ? childOf(node, 'function') : undefined
}

function isFramework(file: PythonFile, callee: PyNode, depth: number): boolean {
  const paths = file.resolver.paths(callee)
  if (paths.some((path) => FRAMEWORKS.has(path.slice(path.lastIndexOf('.') + 1)))) return true
  if (callee.type !== 'identifier' || depth > 5) return false
  const bindings = file.scopes.module.bindings.get(textOf(file.tree, callee)) ?? []
  return bindings.some((binding) => {
    if (binding.kind !== 'class') return false
    const bases = childOf(binding.definition, 'superclasses')?.children ?? []
    return bases.some((base) => isFramework(file, base, depth + 1))
  })
}

export function isAsync(file: PythonFile, definition: PyNode): boolean {
  return /^async\b/.test(file.tree.text.slice(definition.start, definition.start + 6))
}

export function requiredParameters(file: PythonFile, definition: PyNode): string[] {
  const parameters = childOf(definition, 'parameters')?.children ?? []
  return parameters
    .filter(
      ({ type, children }) =>
        type === 'identifier' || (type === 'typed_parameter' && children[0]?.type === 'identifier'),
    )
    .map((parameter) => textOf(file.tree, parameter.children[0] ?? parameter))
}

/**
 * The names of apps that another app of the file serves under a path: `app.mount("/x", admin)`, `Mount("/x",
 * app=admin)`.
 */
export function mountedNames(file: PythonFile): ReadonlySet<string> {
  const names = new Set<string>()
  if (!/mount/i.test(file.tree.text)) return names
  for (const node of file.tree.ofType('call')) {
    const callee = childOf(node, 'function')
    if (!callee || !/(?:^|\.)(?:mount|Mount)$/.test(textOf(file.tree, callee))) continue
    for (const argument of childOf(node, 'arguments')?.children ?? []) {
      const value = argument.type === 'keyword_argument' ? childOf(argument, 'value') : argument
      if (value?.type === 'identifier') names.add(textOf(file.tree, value))
    }
  }
  return names
}

/** Whether the file uses attributes of a name on load: `app.include_router(…)`, `@app.get(…)`. */
export function usesAttributesOf(name: string, file: PythonFile): boolean {
  const guards = guardsOf(file.tree)
  return [...file.tree.ofType('attribute')].some((node) => {
    if (!guards.runsOnLoad(node) || guards.neverRuns(node)) return false
    const object = childOf(node, 'object')
    return object?.type === 'identifier' && textOf(file.tree, object) === name
  })
}
