import type { Finding } from '../wire/deployments.ts'
import { findingAt } from './findings.ts'
import { targetOf } from './import-rules.ts'
import type { PyImport } from './imports.ts'
import type { LocalModules } from './modules.ts'
import type { PythonFile } from './python-file.ts'

type Edges = Map<string, PyImport>

/** More cycles would not help the reader, and code with many imports has more cycles than anyone could list. */
const MAX_CYCLES = 25
const MAX_PATHS = 5_000

/**
 * Rule import-cycle: each cycle of files that import each other on load. It is reported once, at the import that closes
 * it when the app is loaded from its entrypoint. Shortest cycles come first.
 */
export function checkCycles(
  files: readonly PythonFile[],
  modules: LocalModules,
  entrypoint: string,
): Finding[] {
  const byPath = new Map(files.map((file) => [file.source.file, file]))
  const graph = new Map(files.map((file) => [file.source.file, edgesOf(file, modules)]))
  const order = loadOrder(graph, entrypoint)
  const findings: Finding[] = []
  for (const start of order.keys()) {
    for (const cycle of cyclesFrom(start, graph, order)) {
      const last = cycle.at(-1) ?? start
      const file = byPath.get(last)
      const closing = graph.get(last)?.get(start)
      if (!file || !closing) continue
      const circle = [...cycle, start].join(' → ')
      const message = `Import cycle: ${circle}. The file that loads last finds the first only half loaded. Move what both need to another file, or import inside the function that uses it.`
      findings.push(findingAt(file.source, closing.node, 'import-cycle', message, 'warning'))
      if (findings.length >= MAX_CYCLES) return findings
    }
  }
  return findings
}

/** The files that load when a file does, each with the first import of it. */
function edgesOf(file: PythonFile, modules: LocalModules): Edges {
  const edges: Edges = new Map()
  const add = (module: string, from: PyImport): void => {
    const path = modules.fileOf(module)
    if (path !== undefined && !edges.has(path)) edges.set(path, from)
  }
  for (const from of file.scopes.imports) {
    if (!from.runsOnLoad || file.damage.isDamaged(from.statement)) continue
    const target = targetOf(from, file.source.file, modules)
    if (target === undefined) continue
    // `from package import submodule` needs the submodule. It needs the package itself only for other names.
    const submodules = from.names.filter(({ name }) => name !== '' && modules.has(`${target}.${name}`))
    for (const { name } of submodules) add(`${target}.${name}`, from)
    if (from.kind === 'import' || from.star || submodules.length < from.names.length) add(target, from)
  }
  return edges
}

/**
 * The files in the order in which Python starts to load them: depth first from the entrypoint, then the remaining
 * files.
 */
function loadOrder(graph: ReadonlyMap<string, Edges>, entrypoint: string): Map<string, number> {
  const order = new Map<string, number>()
  for (const root of [entrypoint, ...graph.keys()]) {
    const open = [root]
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      const edges = graph.get(file)
      if (!edges || order.has(file)) continue
      order.set(file, order.size)
      open.push(...[...edges.keys()].reverse())
    }
  }
  return order
}

/**
 * The cycles through `start` over files that load after it. The search is breadth first, so the shortest come first.
 */
function cyclesFrom(
  start: string,
  graph: ReadonlyMap<string, Edges>,
  order: ReadonlyMap<string, number>,
): string[][] {
  const first = order.get(start) ?? 0
  const returning = reaching(start, graph)
  const cycles: string[][] = []
  const paths: string[][] = [[start]]
  for (let i = 0; i < paths.length && cycles.length < MAX_CYCLES; i++) {
    const path = paths[i] ?? []
    for (const next of graph.get(path.at(-1) ?? '')?.keys() ?? []) {
      if (next === start) cycles.push(path)
      else if (
        paths.length < MAX_PATHS &&
        (order.get(next) ?? -1) > first &&
        returning.has(next) &&
        !path.includes(next)
      ) {
        paths.push([...path, next])
      }
    }
  }
  return cycles
}

/** The files that import `target`, directly or through others. */
function reaching(target: string, graph: ReadonlyMap<string, Edges>): Set<string> {
  const found = new Set([target])
  for (let size = 0; size !== found.size;) {
    size = found.size
    for (const [file, edges] of graph) {
      if (!found.has(file) && [...edges.keys()].some((next) => found.has(next))) found.add(file)
    }
  }
  return found
}
