import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

const SCRIPT = /<script[^>]*>([^]*?)<\/script>/g
/** Endings that an import may leave out. */
const ENDINGS = ['', '.ts', '/index.ts']
const CONSOLE_LIB = 'console/src/lib/'

/** File → the files that it imports, including imports of types only. Paths are relative to `root`. */
export function importGraph(root, files) {
  return new Map(files.map((file) => [file, importsOf(root, file)]))
}

function importsOf(root, file) {
  const text = readFileSync(path.join(root, file), 'utf8')
  const code = file.endsWith('.svelte') ? [...text.matchAll(SCRIPT)].map(([, part]) => part).join('\n') : text
  return ts
    .preProcessFile(code, true, true)
    .importedFiles.map(({ fileName }) => located(root, file, fileName))
    .filter((found) => found !== undefined)
}

function located(root, file, specifier) {
  let base
  if (specifier.startsWith('.')) base = path.posix.join(path.posix.dirname(file), specifier)
  else if (specifier.startsWith('$lib/')) base = CONSOLE_LIB + specifier.slice('$lib/'.length)
  else return undefined
  return ENDINGS.map((ending) => base + ending).find(
    (name) => existsSync(path.join(root, name)) && path.extname(name),
  )
}

/** Groups of files that import one another, directly or through others of the group: Tarjan's algorithm. */
export function cyclesOf(graph) {
  const order = new Map()
  const lowest = new Map()
  const stack = []
  const cycles = []

  function visit(file) {
    order.set(file, order.size)
    lowest.set(file, order.get(file))
    stack.push(file)
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next)
      if (stack.includes(next)) lowest.set(file, Math.min(lowest.get(file), lowest.get(next)))
    }
    if (lowest.get(file) !== order.get(file)) return
    const group = stack.splice(stack.indexOf(file))
    if (group.length > 1 || graph.get(file)?.includes(file)) cycles.push(group.sort())
  }

  for (const file of graph.keys()) if (!order.has(file)) visit(file)
  return cycles
}
