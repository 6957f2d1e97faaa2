import type { Finding } from '../wire/deployments.ts'
import type { PythonFile } from './python-file.ts'
import { rangeOf } from './source.ts'

/**
 * Removes warnings of ruff that are wrong because ruff checks each file alone: about imports that other files or the
 * server use from this file, and about FastHTML's repeated `@rt def get()`.
 */
export function dropNoise(
  warnings: readonly Finding[],
  file: PythonFile,
  usedElsewhere: ReadonlySet<string>,
): Finding[] {
  if (warnings.length === 0) return []
  const isPackage = /(?:^|\/)__init__\.py$/.test(file.source.file)
  const reexports = new Set<string>()
  for (const { names } of file.scopes.imports) {
    for (const { binds, node, aliased } of names) {
      if (usedElsewhere.has(binds)) reexports.add(placeOf(file, aliased ? (node.parent ?? node) : node))
    }
  }
  const decorated = new Set<string>()
  for (const bindings of file.scopes.module.bindings.values()) {
    for (const binding of bindings) {
      if (binding.kind === 'function' && binding.definition.parent?.type === 'decorated_definition')
        decorated.add(placeOf(file, binding.site))
    }
  }
  return warnings.filter(({ rule, line, column }) => {
    if (rule === 'unused-import') return !isPackage && !reexports.has(`${line}:${column}`)
    return rule !== 'redefined-while-unused' || !decorated.has(`${line}:${column}`)
  })
}

function placeOf(file: PythonFile, node: { readonly start: number; readonly end: number }): string {
  const { line, column } = rangeOf(file.source, node.start, node.end)
  return `${line}:${column}`
}
