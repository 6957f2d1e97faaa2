/** The Python modules that the files of an app define, as Python's import system finds them from one folder. */
export interface LocalModules {
  /** The folder with the top-level modules, like uvicorn's `--app-dir`; '' for the app's own folder. */
  readonly root: string
  /** The package for relative imports of a file, as parts: `a/b.py` and `a/__init__.py` → `['a']`. */
  packageOf(path: string): string[]
  /** `a/b.py` → `a.b`; undefined for a file outside the root. */
  moduleOf(path: string): string | undefined
  has(module: string): boolean
  /** The file that runs when the module is imported; undefined for a folder without `__init__.py`. */
  fileOf(module: string): string | undefined
  isFolder(module: string): boolean
  /** Whether the module, or any file in its folder, is Python code. */
  hasCode(module: string): boolean
  /** The last parts of the names of a module's submodules; for '' the top-level modules. */
  childrenOf(module: string): string[]
  /** All dotted module names that end in `.name`. */
  endingIn(name: string): string[]
}

export function indexModules(paths: readonly string[], root = ''): LocalModules {
  const prefix = root === '' ? '' : `${root}/`
  const within = (path: string): string | undefined => {
    const clean = cleanPath(path)
    return clean.startsWith(prefix) ? clean.slice(prefix.length) : undefined
  }
  const files = new Map<string, string>()
  const folders = new Set<string>()
  const codeFolders = new Set<string>()
  for (const path of paths) {
    const local = within(path)
    if (local === undefined) continue
    const parts = local.split('/')
    const isCode = path.endsWith('.py')
    for (let length = 1; length < parts.length; length++) {
      const folder = parts.slice(0, length).join('.')
      folders.add(folder)
      if (isCode) codeFolders.add(folder)
    }
    if (!isCode) continue
    const module = moduleOf(local)
    // A package takes precedence over a file of the same name.
    if (module !== '' && (isPackageFile(local) || !files.has(module))) files.set(module, path)
  }
  const names = new Set([...files.keys(), ...folders])
  const children = new Map<string, string[]>()
  for (const name of names) {
    const dot = name.lastIndexOf('.')
    const parent = dot < 0 ? '' : name.slice(0, dot)
    const list = children.get(parent)
    if (list) list.push(name.slice(dot + 1))
    else children.set(parent, [name.slice(dot + 1)])
  }
  return {
    root,
    packageOf: (path) => (within(path) ?? cleanPath(path)).split('/').slice(0, -1),
    moduleOf: (path) => {
      const local = within(path)
      return local === undefined ? undefined : moduleOf(local)
    },
    has: (module) => names.has(module),
    fileOf: (module) => files.get(module),
    isFolder: (module) => folders.has(module),
    hasCode: (module) => files.has(module) || codeFolders.has(module),
    childrenOf: (module) => children.get(module) ?? [],
    endingIn: (name) => [...names].filter((module) => module.endsWith(`.${name}`)),
  }
}

/** `a/b.py` → `a.b`, `a/__init__.py` → `a`. */
function moduleOf(path: string): string {
  return cleanPath(path)
    .replace(/\.py$/, '')
    .replace(/(^|\/)__init__$/, '')
    .replaceAll('/', '.')
}

export function cleanPath(path: string): string {
  return path.replace(/^(?:\.\/)+/, '')
}

function isPackageFile(path: string): boolean {
  return path.endsWith('/__init__.py')
}
