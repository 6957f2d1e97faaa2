export interface FileNode {
  kind: 'file'
  name: string
  path: string
}
export interface FolderNode {
  kind: 'folder'
  name: string
  path: string
  children: TreeNode[]
}
export type TreeNode = FileNode | FolderNode

/** Paths as a tree: folders first, then files, each sorted by name. app.py and main.py come before all, since most apps start there. */
export function buildTree(paths: readonly string[]): TreeNode[] {
  const root: FolderNode = { kind: 'folder', name: '', path: '', children: [] }
  const folders = new Map<string, FolderNode>([['', root]])

  function folder(path: string): FolderNode {
    const known = folders.get(path)
    if (known) return known
    const [parent, name] = split(path)
    const made: FolderNode = { kind: 'folder', name, path, children: [] }
    folders.set(path, made)
    folder(parent).children.push(made)
    return made
  }

  for (const path of paths) {
    const [parent, name] = split(path)
    folder(parent).children.push({ kind: 'file', name, path })
  }
  for (const each of folders.values()) each.children.sort(compare)
  return root.children
}

function split(path: string): [parent: string, name: string] {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)]
}

function compare(a: TreeNode, b: TreeNode): number {
  const rank = (node: TreeNode): number =>
    ['app.py', 'main.py'].includes(node.path) ? 0 : node.kind === 'folder' ? 1 : 2
  return rank(a) - rank(b) || a.name.localeCompare(b.name)
}

/** The new paths when the file or folder `from` is renamed to `to`: old path → new path. */
export function renames(paths: readonly string[], from: string, to: string): Map<string, string> {
  const result = new Map<string, string>()
  for (const path of paths) {
    if (path === from) result.set(path, to)
    else if (path.startsWith(`${from}/`)) result.set(path, to + path.slice(from.length))
  }
  return result
}

/** The file itself, or every file in the folder. */
export function within(paths: readonly string[], target: string): string[] {
  return paths.filter((path) => path === target || path.startsWith(`${target}/`))
}
