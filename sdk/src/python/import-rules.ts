import type { Finding } from '../wire/deployments.ts'
import type { AllowList } from './allow-list.ts'
import { findingAt, MAX_FINDINGS_IN_A_FILE } from './findings.ts'
import { guardsOf } from './guards.ts'
import { importedByCall } from './import-module.ts'
import type { PyImport } from './imports.ts'
import type { LocalModules } from './modules.ts'
import type { PythonFile } from './python-file.ts'
import { alternativeTo, closest } from './suggestions.ts'
import { childOf, type PyNode } from './syntax.ts'

/** The absolute module that an import names; undefined for a relative import that points outside the app. */
export function targetOf(from: PyImport, path: string, modules: LocalModules): string | undefined {
  if (from.level === 0) return from.module
  const parts = modules.packageOf(path)
  if (from.level > parts.length) return undefined
  return [...parts.slice(0, parts.length - from.level + 1), from.module]
    .filter((part) => part !== '')
    .join('.')
}

/** Rules import-not-allowed, module-not-found and relative-import-outside. */
export function checkImports(file: PythonFile, modules: LocalModules, allowed: AllowList): Finding[] {
  const called = importedByCall(file, modules).flatMap(({ node, module }) =>
    module === undefined ? [] : [asImport(node, module)],
  )
  const guards = guardsOf(file.tree)
  const findings: Finding[] = []
  for (const from of [...file.scopes.imports, ...called]) {
    if (findings.length > MAX_FINDINGS_IN_A_FILE) break
    if (file.damage.isDamaged(from.statement) || from.module === '__future__') continue
    // Code that handles a failed import, or that never runs, may name a missing module.
    if (guards.mayFail(from.statement) || guards.neverRuns(from.statement)) continue
    const problem = findProblem(from, file.source.file, modules, allowed)
    if (problem)
      findings.push(findingAt(file.source, problem.node ?? from.node, problem.rule, problem.message))
  }
  return findings
}

/** Converts `importlib.import_module("a.b")` to the equivalent import statement. */
function asImport(call: PyNode, module: string): PyImport {
  const node = childOf(call, 'arguments')?.children[0] ?? call
  return { kind: 'import', level: 0, module, names: [], star: false, statement: call, node, runsOnLoad: true }
}

interface Problem {
  readonly rule: 'import-not-allowed' | 'module-not-found' | 'relative-import-outside'
  readonly message: string
  readonly node?: PyNode
}

function findProblem(
  from: PyImport,
  path: string,
  modules: LocalModules,
  allowed: AllowList,
): Problem | undefined {
  const target = targetOf(from, path, modules)
  if (target === undefined) return leavesApp(from, path, modules)
  const top = target.split('.')[0] ?? target
  const isOffered = from.level === 0 && allowed.allows(target)
  const isLocal = from.level > 0 || (modules.has(top) && !(isOffered && !modules.hasCode(top)))
  if (!isLocal) return isOffered ? undefined : notAllowed(from, path, target, modules, allowed)
  const missing = findMissing(from, target, modules)
  // A file may shadow a package, as in `calendar.py` with `import calendar.x`. Then the package may be meant.
  return isOffered ? undefined : missing
}

function leavesApp(from: PyImport, path: string, modules: LocalModules): Problem {
  const written = '.'.repeat(from.level) + from.module
  const isTopLevel = modules.packageOf(path).length === 0
  const first = from.module || from.names[0]?.name || ''
  if (isTopLevel && from.level === 1 && first !== '' && !modules.has(first)) {
    return { rule: 'module-not-found', message: notFound(first, modules) }
  }
  const absolute = from.module ? `from ${from.module} import …` : `import ${first || '…'}`
  const message = isTopLevel
    ? `${path} is not inside a folder, so Python cannot resolve "${written}" from it. Write \`${absolute}\` without the dot.`
    : `"${written}" points outside the app's files. Use fewer dots, or write \`${absolute}\` with the path from the app's folder.`
  return { rule: 'relative-import-outside', message }
}

/** Finds the first part of a local module's name that does not exist. */
function findMissing(from: PyImport, target: string, modules: LocalModules): Problem | undefined {
  const parts = target === '' ? [] : target.split('.')
  for (let length = 1; length <= parts.length; length++) {
    const module = parts.slice(0, length).join('.')
    if (!modules.has(module)) return { rule: 'module-not-found', message: notFound(module, modules) }
  }
  // A folder without __init__.py contains only its submodules.
  if (from.kind !== 'from' || from.star || modules.fileOf(target) !== undefined) return undefined
  for (const { name, node } of from.names) {
    const module = target === '' ? name : `${target}.${name}`
    if (!modules.has(module)) return { rule: 'module-not-found', message: notFound(module, modules), node }
  }
  return undefined
}

function notFound(module: string, modules: LocalModules): string {
  const dot = module.lastIndexOf('.')
  const parent = dot < 0 ? '' : module.slice(0, dot)
  const name = module.slice(dot + 1)
  const file = `${module.replaceAll('.', '/')}.py`
  if (parent !== '' && !modules.isFolder(parent)) {
    return `There is no module ${module}: ${modules.fileOf(parent) ?? parent} is a file, not a folder. Import from \`${parent}\`.`
  }
  const near = closest(name, modules.childrenOf(parent))
  const hint = near
    ? `Did you mean \`${parent ? `${parent}.` : ''}${near}\`?`
    : `Create ${file} or correct the name.`
  return `There is no module ${module} among the app's files (${file}). ${hint}`
}

function notAllowed(
  from: PyImport,
  path: string,
  target: string,
  modules: LocalModules,
  allowed: AllowList,
): Problem | undefined {
  const top = target.split('.')[0] ?? target
  const rule = 'import-not-allowed'
  if (from.kind === 'from' && !from.star && from.names.length > 0) {
    // For example `from xml import etree` if only `xml.etree` is on the list.
    const refused = from.names.find(({ name }) => !allowed.allows(`${target}.${name}`))
    if (!refused) return undefined
    if (refused !== from.names[0]) {
      return {
        rule,
        node: refused.node,
        message: `The module ${target}.${refused.name} is not available to apps.`,
      }
    }
  }
  const module = [...allowed.names].some((name) => name.startsWith(`${top}.`)) ? target : top
  return {
    rule,
    message: `The module ${module} is not available to apps${advice(top, path, modules, allowed)}`,
  }
}

function advice(top: string, path: string, modules: LocalModules, allowed: AllowList): string {
  const near = closest(top, modules.childrenOf(''))
  if (near) return `. Did you mean your own \`${near}\`?`
  const instead = alternativeTo(top)
  if (instead) return `: ${instead}.`
  const beside = [...modules.packageOf(path), top].join('.')
  const [elsewhere] = modules.has(beside) ? [beside] : modules.endingIn(top)
  if (elsewhere) {
    const folder = elsewhere.slice(0, elsewhere.lastIndexOf('.'))
    return `, and there is no ${top}.py at the top of the app. To use yours, write \`from ${folder} import ${top}\`.`
  }
  const offered = closest(
    top,
    [...allowed.names].filter((name) => !name.includes('.')),
  )
  if (offered) return `. Did you mean \`${offered}\`?`
  return '. Use the standard library or one of the packages that apps are offered, or add the code as a file of the app.'
}
