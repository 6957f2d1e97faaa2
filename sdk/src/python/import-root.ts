import { guardsOf } from './guards.ts'
import { targetOf } from './import-rules.ts'
import type { Project } from './project.ts'
import type { PythonFile } from './python-file.ts'
import { importedFiles } from './reachability.ts'

/**
 * The folder from which a file imports: the one with which most imports of the file, and of the files that it imports,
 * are found. So `src/main.py` with `import models` is served like `uvicorn main:app --app-dir src`, and with `from src
 * import models` like `uvicorn src.main:app`. If both work, `src/` without an `__init__.py` is a folder to import from,
 * and any other folder is a package.
 */
export function importRoot(path: string, project: (root: string) => Project): string {
  const folders = path.split('/').slice(0, -1)
  const roots = folders.map((_, at) => folders.slice(0, at + 1).join('/'))
  const isSource = folders[0] === 'src' && project('').file('src/__init__.py') === undefined
  const preferred = isSource ? ['src', '', ...roots.slice(1)] : ['', ...roots]
  const isLocal = (module: string): boolean =>
    preferred.some((root) => project(root).modules.hasCode(module.split('.')[0] ?? module))
  const scores = preferred.map((root) => ({ root, missing: missingImports(path, project(root), isLocal) }))
  const fewest = Math.min(...scores.map(({ missing }) => missing))
  return scores.find(({ missing }) => missing === fewest)?.root ?? ''
}

function missingImports(entry: string, project: Project, isLocal: (module: string) => boolean): number {
  const module = project.modules.moduleOf(entry)
  // Python splits a name at its dots, so a folder such as `v1.2` is not a package.
  if (module === undefined || module.split('.').length > entry.split('/').length)
    return Number.MAX_SAFE_INTEGER
  let missing = 0
  const seen = new Set<string>()
  const open = [entry]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const file = seen.has(path) ? undefined : project.file(path)
    seen.add(path)
    if (!file) continue
    missing += missingIn(file, project, isLocal)
    open.push(...importedFiles(file, project))
  }
  return missing
}

function missingIn(file: PythonFile, { modules }: Project, isLocal: (module: string) => boolean): number {
  const guards = guardsOf(file.tree)
  return file.scopes.imports.filter((from) => {
    if (guards.neverRuns(from.statement) || guards.mayFail(from.statement)) return false
    const target = targetOf(from, file.source.file, modules)
    if (target === undefined) return true
    if (target === '') return from.names.some(({ name }) => !modules.has(name))
    return !modules.has(target) && (from.level > 0 || isLocal(target))
  }).length
}
