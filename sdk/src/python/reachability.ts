import { targetOf } from './import-rules.ts'
import { guardsOf } from './guards.ts'
import { importedByCall } from './import-module.ts'
import type { Project } from './project.ts'
import type { PythonFile } from './python-file.ts'

/**
 * The files that run when the app does: the entrypoint, everything that it imports (also in functions), and the
 * packages that contain these modules.
 */
export function reachableFrom(entry: string, project: Project): ReadonlySet<string> {
  const reached = new Set<string>()
  const open = [entry, ...packagesAround(project.modules.moduleOf(entry) ?? '', project)]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (reached.has(path)) continue
    reached.add(path)
    const file = project.file(path)
    if (file) open.push(...importedFiles(file, project))
  }
  return reached
}

/** Cached, because every search through the imports needs it. A file belongs to one project. */
const imported = new WeakMap<PythonFile, ReadonlySet<string>>()

export function importedFiles(file: PythonFile, project: Project): ReadonlySet<string> {
  const known = imported.get(file)
  if (known) return known
  const found = new Set<string>()
  imported.set(file, found)
  const { modules } = project
  const add = (module: string): void => {
    const path = modules.fileOf(module)
    if (path !== undefined) found.add(path)
    for (const around of packagesAround(module, project)) found.add(around)
  }
  for (const from of file.scopes.imports) {
    if (guardsOf(file.tree).neverRuns(from.statement)) continue
    const target = targetOf(from, file.source.file, modules)
    if (target === undefined) continue
    add(target)
    for (const { name } of from.names) if (name !== '') add(target === '' ? name : `${target}.${name}`)
  }
  for (const { module } of importedByCall(file, modules)) if (module !== undefined) add(module)
  return found
}

/** The `__init__.py` of each package that Python imports before the module. */
function packagesAround(module: string, { modules }: Project): string[] {
  const found: string[] = []
  for (let dot = module.indexOf('.'); dot >= 0; dot = module.indexOf('.', dot + 1)) {
    const around = module.slice(0, dot)
    if (!modules.has(around)) break
    const path = modules.fileOf(around)
    if (path !== undefined) found.push(path)
  }
  return found
}
