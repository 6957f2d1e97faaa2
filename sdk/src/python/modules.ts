/** Which Python modules the files of an app make, as Python's own finder would see them from the app's folder. */
export interface LocalModules {
  has(module: string): boolean
  /** The file that runs when the module is imported; undefined for a folder without `__init__.py`. */
  fileOf(module: string): string | undefined
  isFolder(module: string): boolean
  /** Whether the module, or anything in its folder, is Python code. */
  hasCode(module: string): boolean
  /** Last parts of the names of a module's submodules; of the top level for ''. */
  childrenOf(module: string): string[]
  /** All dotted module names that end in `.name`. */
  endingIn(name: string): string[]
}

export function indexModules(paths: readonly string[]): LocalModules {
  const files = new Map<string, string>()
  const folders = new Set<string>()
  const codeFolders = new Set<string>()
  for (const path of paths) {
    const parts = cleanPath(path).split('/')
    const isCode = path.endsWith('.py')
    for (let length = 1; length < parts.length; length++) {
      const folder = parts.slice(0, length).join('.')
      folders.add(folder)
      if (isCode) codeFolders.add(folder)
    }
    if (!isCode) continue
    const module = moduleOf(path)
    // A package wins over a file of the same name.
    if (module !== '' && (isPackageFile(path) || !files.has(module))) files.set(module, path)
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
    has: (module) => names.has(module),
    fileOf: (module) => files.get(module),
    isFolder: (module) => folders.has(module),
    hasCode: (module) => files.has(module) || codeFolders.has(module),
    childrenOf: (module) => children.get(module) ?? [],
    endingIn: (name) => [...names].filter((module) => module.endsWith(`.${name}`)),
  }
}

/** `a/b.py` → `a.b`, `a/__init__.py` → `a`. */
export function moduleOf(path: string): string {
  return cleanPath(path)
    .replace(/\.py$/, '')
    .replace(/(^|\/)__init__$/, '')
    .replaceAll('/', '.')
}

/** The package that a file's relative imports start from, as parts: `a/b.py` and `a/__init__.py` → `['a']`. */
export function packageOf(path: string): string[] {
  return cleanPath(path).split('/').slice(0, -1)
}

export function cleanPath(path: string): string {
  return path.replace(/^(?:\.\/)+/, '')
}

function isPackageFile(path: string): boolean {
  return path.endsWith('/__init__.py')
}
