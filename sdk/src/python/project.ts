import { targetOf } from './import-rules.ts'
import { indexModules, type LocalModules } from './modules.ts'
import type { FileLookup, ParsedFile, PythonFile } from './python-file.ts'
import { createResolver, type ResolverOptions } from './resolve.ts'

/** The files of an app as Python sees them if imports start from one folder. */
export interface Project {
  readonly modules: LocalModules
  readonly files: readonly PythonFile[]
  readonly file: FileLookup
}

/** Returns a project for each folder that imports may start from. Each is created on first use. */
export function createProjects(
  paths: readonly string[],
  parsed: readonly ParsedFile[],
): (root: string) => Project {
  const projects = new Map<string, Project>()
  return (root) => {
    const known = projects.get(root)
    if (known) return known
    const project = createProject(indexModules(paths, root), parsed)
    projects.set(root, project)
    return project
  }
}

function createProject(modules: LocalModules, parsed: readonly ParsedFile[]): Project {
  const byPath = new Map<string, PythonFile>()
  for (const file of parsed) {
    const starBinds: ResolverOptions['starBinds'] = (from, name) => {
      const other = byPath.get(modules.fileOf(targetOf(from, file.source.file, modules) ?? '') ?? '')
      if (!other) return false
      return (
        other.scopes.module.bindings.has(name) || other.scopes.module.stars.some(({ level }) => level > 0)
      )
    }
    const resolver = createResolver(file.tree, file.scopes, { starBinds, unknown: file.damage.maybeDefined })
    byPath.set(file.source.file, { ...file, resolver })
  }
  return { modules, files: [...byPath.values()], file: (path) => byPath.get(path) }
}
