import type { Finding } from '../wire/deployments.ts'
import { isUse } from './calls.ts'
import { findingAt } from './findings.ts'
import { guardsOf } from './guards.ts'
import type { PythonFile } from './python-file.ts'
import { textOf } from './syntax.ts'

const COMMON = 'fasthtml.common'
const MONGO = 'Store data in MongoDB with pymongo; the platform sets PLATFORM_MONGO_URI'

/**
 * Names that `from fasthtml.common import *` defined in earlier versions, or that people expect from it, with advice on
 * how to get them. star-names.integration.test.ts compares this with the library that apps run with.
 */
export const STAR_NAMES: ReadonlyMap<string, string> = new Map([
  ...named('Write `from fasthtml.pico import *` too', [
    'picocss', 'picolink', 'picocondcss', 'picocondlink', 'set_pico_cls', 'Card', 'Group', 'Grid', 'DialogX', 'Container', 'PicoBusy',
  ]),
  ...named('Write `from fasthtml.svg import *` too', [
    'Rect', 'Circle', 'Ellipse', 'Line', 'Polyline', 'Polygon', 'Text', 'PathFT', 'SvgOob', 'SvgInb', 'G', 'Defs', 'ClipPath', 'Filter',
    'ft_svg', 'transformd', 'ForeignObject', 'Animate',
  ]),
  ...named('Write `from fasthtml.oauth import *` too', ['GoogleAppClient', 'GitHubAppClient', 'OAuth', 'redir_url']),
  ...named(MONGO, ['database', 'Database', 'NotFoundError']),
  ...['json', 'asyncio', 'datetime', 'time', 'random', 'httpx'].flatMap((name) => named(`Write \`import ${name}\` too`, [name])),
]) // prettier-ignore

/** Rule name-not-imported: a name that no import of the file defines, reported at its first use. */
export function checkStarNames(file: PythonFile): Finding[] {
  if (!file.scopes.module.stars.some(({ module }) => module === COMMON)) return []
  const guards = guardsOf(file.tree)
  const first = new Map<string, Finding>()
  for (const node of file.tree.ofType('identifier')) {
    const name = textOf(file.tree, node)
    const advice = STAR_NAMES.get(name)
    if (!advice || first.has(name) || file.damage.isDamaged(node) || guards.neverRuns(node)) continue
    if (!isUse(file, node) || !isMissing(file, file.resolver.paths(node), name)) continue
    const message = `${name} is not defined: \`from ${COMMON} import *\` does not bring it. ${advice}.`
    first.set(name, findingAt(file.source, node, 'name-not-imported', message))
  }
  return [...first.values()]
}

/** Whether the file does not bind the name, and no other star import may bind it. */
function isMissing(file: PythonFile, paths: readonly string[], name: string): boolean {
  return (
    paths.includes(`${COMMON}.${name}`) &&
    paths.every((path) => path === `${COMMON}.${name}` || path === `builtins.${name}`) &&
    file.scopes.module.bindings.get(name) === undefined
  )
}

function named(advice: string, names: readonly string[]): (readonly [string, string])[] {
  return names.map((name) => [name, advice] as const)
}
