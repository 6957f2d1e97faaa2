import type { Finding } from '../wire/deployments.ts'
import { blockedCall } from './blocked-calls.ts'
import { findingAt, MAX_FINDINGS_IN_A_FILE } from './findings.ts'
import { guardsOf } from './guards.ts'
import { importedByCall } from './import-module.ts'
import type { LocalModules } from './modules.ts'
import type { PythonFile } from './python-file.ts'
import { childOf, type PyNode } from './syntax.ts'

const EXPRESSIONS = ['identifier', 'attribute', 'subscript', 'call']

/**
 * Every place that uses a blocked function: a call, a decorator, `map(eval, xs)`, `e = eval`, and each use of an alias.
 * An import alone does no harm. Names in strings and comments, methods of other objects, and names that the file
 * defines itself are not reported.
 */
export function checkCalls(file: PythonFile, modules: LocalModules): Finding[] {
  const findings: Finding[] = []
  const report = (node: PyNode, path: string): void => {
    const call = blockedCall(path)
    if (!call) return
    const name = path.replace(/^builtins\./, '')
    findings.push(findingAt(file.source, node, 'blocked-call', `${name} ${call.why}. ${call.instead}`))
  }
  const guards = guardsOf(file.tree)
  // A call that imports a constant name counts as an import statement, which import-rules.ts checks.
  const readable = new Set(
    importedByCall(file, modules).flatMap(({ node, module }) =>
      module === undefined ? [] : [childOf(node, 'function')],
    ),
  )
  for (const node of file.tree.ofType(...EXPRESSIONS)) {
    if (findings.length > MAX_FINDINGS_IN_A_FILE) break
    if (readable.has(node) || guards.neverRuns(node)) continue
    if (file.damage.isDamaged(node) || !isUse(file, node)) continue
    const path = file.resolver.paths(node).find((candidate) => blockedCall(candidate))
    if (path && !namesAlready(file, node)) report(node, path)
  }
  return findings
}

/** Whether a name or attribute is read. Names that are bound, and the `x` of `.x`, `x=` or an import, do not count. */
export function isUse(file: PythonFile, node: PyNode): boolean {
  const parent = node.parent
  if (!parent) return false
  if (
    parent.type === 'dotted_name' ||
    parent.type === 'global_statement' ||
    parent.type === 'nonlocal_statement'
  ) {
    return false
  }
  if (parent.type === 'aliased_import') return false
  if (node.field === 'attribute' && parent.type === 'attribute') return false
  if (node.field === 'name' && parent.type === 'keyword_argument') return false
  if (parent.type === 'keyword_pattern' && parent.children[0] === node) return false
  if (node.field === 'left' && parent.type === 'assignment') return false
  return !file.scopes.isBindingSite(node)
}

/** Whether the inner expression is reported instead: in `subprocess.run.x` it is `subprocess.run`. */
function namesAlready(file: PythonFile, node: PyNode): boolean {
  const inner =
    node.type === 'attribute'
      ? childOf(node, 'object')
      : node.type === 'subscript'
        ? childOf(node, 'value')
        : undefined
  return inner !== undefined && file.resolver.paths(inner).some((path) => blockedCall(path))
}
