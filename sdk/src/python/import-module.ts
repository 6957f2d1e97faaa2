import { guardsOf } from './guards.ts'
import type { LocalModules } from './modules.ts'
import type { PythonFile } from './python-file.ts'
import { childOf, stringValue, textOf, type PyNode } from './syntax.ts'

/** One call of `importlib.import_module`. */
export interface ImportCall {
  readonly node: PyNode
  /** The absolute module; undefined if only running the code would show it. */
  readonly module: string | undefined
}

const known = new WeakMap<PythonFile, ImportCall[]>()

/** The calls `importlib.import_module("x")` and `import_module(".x", package=__package__)` in code that may run. */
export function importedByCall(file: PythonFile, modules: LocalModules): readonly ImportCall[] {
  const before = known.get(file)
  if (before) return before
  const calls = file.tree.text.includes('import_module') ? findCalls(file, modules) : []
  known.set(file, calls)
  return calls
}

function findCalls(file: PythonFile, modules: LocalModules): ImportCall[] {
  return [...file.tree.ofType('call')].flatMap((node) => {
    if (file.damage.isDamaged(node) || guardsOf(file.tree).neverRuns(node)) return []
    const callee = childOf(node, 'function')
    if (!callee || !file.resolver.paths(callee).includes('importlib.import_module')) return []
    return [{ node, module: moduleNamed(node, file, modules) }]
  })
}

function moduleNamed(call: PyNode, file: PythonFile, modules: LocalModules): string | undefined {
  const list = childOf(call, 'arguments')?.children.filter(({ type }) => type !== 'comment') ?? []
  const keyword = (name: string): PyNode | undefined => {
    const found = list.find(
      (child) =>
        child.type === 'keyword_argument' && textOf(file.tree, childOf(child, 'name') ?? child) === name,
    )
    return found && childOf(found, 'value')
  }
  const [first, second] = list.filter(({ type }) => type !== 'keyword_argument')
  const name = stringValue(file.tree, first ?? keyword('name'))
  if (name === undefined || name === '') return undefined
  const level = /^\.*/.exec(name)?.[0].length ?? 0
  if (level === 0) return name
  const parts = packageNamed(second ?? keyword('package'), file, modules)
  if (!parts || level > parts.length) return undefined
  return [...parts.slice(0, parts.length - level + 1), name.slice(level)]
    .filter((part) => part !== '')
    .join('.')
}

function packageNamed(
  node: PyNode | undefined,
  file: PythonFile,
  modules: LocalModules,
): string[] | undefined {
  if (!node) return undefined
  const text = textOf(file.tree, node)
  if (text === '__package__') return modules.packageOf(file.source.file)
  // In the file of a package, `__name__` is the package.
  if (text === '__name__') return modules.moduleOf(file.source.file)?.split('.')
  return stringValue(file.tree, node)?.split('.')
}
