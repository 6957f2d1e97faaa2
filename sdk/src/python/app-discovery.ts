import type { Finding } from '../wire/deployments.ts'
import { findingAt, findingOnFile } from './findings.ts'
import { guardsOf } from './guards.ts'
import { targetOf } from './import-rules.ts'
import type { LocalModules } from './modules.ts'
import type { FileLookup, PythonFile } from './python-file.ts'
import type { Binding } from './scopes.ts'
import { childOf, textOf, type PyNode } from './syntax.ts'

const FRAMEWORKS = new Set(['FastAPI', 'FastHTML', 'Starlette', 'fast_app'])
const ASGI_NAMES = ['app', 'application']
const FACTORY = 'create_app'
const WRITE = 'Write `app = FastAPI()` or `app, rt = fast_app()` at the top level of the file.'
/** Local modules are followed this far in search of an imported app. */
const MAX_HOPS = 10

const LITERALS = new Set([
  'integer', 'float', 'string', 'concatenated_string', 'list', 'dictionary', 'set', 'tuple', 'none', 'true', 'false',
  'list_comprehension', 'set_comprehension', 'dictionary_comprehension', 'generator_expression', 'comparison_operator',
  'not_operator', 'unary_operator', 'expression_list',
]) // prettier-ignore

export interface App {
  /** The names that an app, or a factory of one, is bound to at the top level. */
  readonly names: ReadonlySet<string>
  /** Why something that looks like an app is none. */
  readonly problem?: { readonly node: PyNode; readonly message: string }
}

/**
 * Looks for what the runner would serve (runner/src/fp_runner/loader.py): an instance of a framework under any name,
 * `app` or `application` holding anything that may be an ASGI callable, or `create_app()`. In doubt there is an app: the
 * runner decides in the end.
 */
export function findApp(file: PythonFile, modules: LocalModules, lookup: FileLookup, hops = 0): App {
  const names = new Set<string>()
  let problem: App['problem']
  for (const [name, bindings] of file.scopes.module.bindings) {
    for (const binding of bindings) {
      const verdict = judge(name, binding, { file, modules, lookup, hops })
      if (verdict === true) names.add(name)
      else if (verdict && !problem) problem = { node: binding.site, message: verdict }
    }
  }
  if (hops < MAX_HOPS) {
    for (const from of file.scopes.module.stars) {
      const other = lookup(modules.fileOf(targetOf(from, file.source.file) ?? '') ?? '')
      if (other && other !== file)
        for (const name of findApp(other, modules, lookup, hops + 1).names) names.add(name)
    }
  }
  return problem ? { names, problem } : { names }
}

export function checkApp(file: PythonFile, app: App): Finding[] {
  if (app.names.size > 0 || file.hasSyntaxError) return []
  if (app.problem) return [findingAt(file.source, app.problem.node, 'no-app-found', app.problem.message)]
  const what = file.source.text.trim() === '' ? 'is empty' : 'has no app'
  return [findingOnFile(file.source.file, 'no-app-found', `${file.source.file} ${what}. ${WRITE}`)]
}

interface Context {
  readonly file: PythonFile
  readonly modules: LocalModules
  readonly lookup: FileLookup
  readonly hops: number
}

/** Whether a name is an app; a text says why it is not although it looks so. */
function judge(name: string, binding: Binding, context: Context): boolean | string {
  const { file } = context
  const isAsgiName = ASGI_NAMES.includes(name)
  const isFactory = name === FACTORY
  if (file.damage.isDamaged(binding.site)) return false
  if (guardsOf(file.tree).neverRuns(binding.site))
    return (
      isAsgiName &&
      `${name} is made only when the file is run as a script, which the platform does not do. ${WRITE}`
    )
  if (binding.kind === 'import') return imported(name, binding, context)
  if (binding.kind === 'function') {
    if (isFactory) return factory(file, binding.definition)
    return isAsgiName && asgiFunction(name, file, binding.definition)
  }
  if (binding.kind === 'class') {
    return (
      isAsgiName &&
      `${name} is a class, and the server needs an instance: name the class App and write \`${name} = App()\`.`
    )
  }
  if (binding.kind === 'annotation') return false
  if (!binding.value) return isAsgiName || isFactory
  if (binding.kind === 'value' && LITERALS.has(binding.value.type)) return false
  return isAsgiName || isFactory || isFrameworkCall(file, binding.value)
}

function imported(name: string, binding: Binding & { kind: 'import' }, context: Context): boolean | string {
  const { file, modules, lookup, hops } = context
  if (binding.from.kind === 'import') {
    return (
      ASGI_NAMES.includes(name) &&
      `${name} is a module here. Import the app from it: \`from ${binding.from.module} import app\`.`
    )
  }
  const target = targetOf(binding.from, file.source.file) ?? binding.from.module
  const other = lookup(modules.fileOf(target) ?? '')
  if (!other || other === file || hops >= MAX_HOPS || other.hasSyntaxError) {
    if (modules.fileOf(target) === undefined && modules.has(`${target}.${binding.name}`)) return false
    return ASGI_NAMES.includes(name) || name === FACTORY
  }
  const bindings = other.scopes.module.bindings.get(binding.name)
  if (!bindings) {
    if (!ASGI_NAMES.includes(name) && name !== FACTORY) return false
    if (modules.has(`${target}.${binding.name}`)) return false
    const mayBind = other.scopes.module.stars.length > 0 || other.scopes.module.bindings.has('__getattr__')
    return (
      mayBind ||
      `${other.source.file} defines no \`${binding.name}\`, so there is nothing to import. ${WRITE}`
    )
  }
  const verdicts = bindings.map((found) =>
    judge(name === binding.name ? name : binding.name, found, { ...context, file: other, hops: hops + 1 }),
  )
  if (verdicts.includes(true)) return true
  // Another name's value may still be an ASGI callable, as in `from main import service as app`.
  if (binding.name !== name && (ASGI_NAMES.includes(name) || name === FACTORY)) return true
  return verdicts.find((verdict) => typeof verdict === 'string') ?? false
}

function factory(file: PythonFile, definition: PyNode): boolean | string {
  if (definition.parent?.type === 'decorated_definition') return true
  if (isAsync(file, definition)) {
    return `${FACTORY}() is async, and the server calls it without await. Make it a plain function: \`def ${FACTORY}():\`.`
  }
  const needed = requiredParameters(file, definition)
  return (
    needed.length === 0 ||
    `${FACTORY}() needs arguments (${needed.join(', ')}), and the server gives none. Give them defaults.`
  )
}

function asgiFunction(name: string, file: PythonFile, definition: PyNode): boolean | string {
  if (definition.parent?.type === 'decorated_definition') return true
  const parameters = childOf(definition, 'parameters')?.children ?? []
  const takesThree =
    parameters.length >= 3 || parameters.some((parameter) => parameter.type === 'list_splat_pattern')
  if (isAsync(file, definition) && takesThree) return true
  return `${name} is a function that the server cannot call. Write \`app = FastAPI()\`, or \`async def ${name}(scope, receive, send):\`.`
}

function isAsync(file: PythonFile, definition: PyNode): boolean {
  return /^async\b/.test(file.tree.text.slice(definition.start, definition.start + 6))
}

function requiredParameters(file: PythonFile, definition: PyNode): string[] {
  const parameters = childOf(definition, 'parameters')?.children ?? []
  return parameters
    .filter(
      ({ type, children }) =>
        type === 'identifier' || (type === 'typed_parameter' && children[0]?.type === 'identifier'),
    )
    .map((parameter) => textOf(file.tree, parameter.children[0] ?? parameter))
}

function isFrameworkCall(file: PythonFile, value: PyNode): boolean {
  let node: PyNode | undefined = value
  for (
    let i = 0;
    i < 10 && (node?.type === 'parenthesized_expression' || node?.type === 'named_expression');
    i++
  ) {
    node = childOf(node, 'value') ?? node.children[0]
  }
  const callee = node?.type === 'call' ? childOf(node, 'function') : undefined
  return callee !== undefined && isFramework(file, callee, 0)
}

function isFramework(file: PythonFile, callee: PyNode, depth: number): boolean {
  const paths = file.resolver.paths(callee)
  if (paths.some((path) => FRAMEWORKS.has(path.slice(path.lastIndexOf('.') + 1)))) return true
  if (callee.type !== 'identifier' || depth > 5) return false
  const bindings = file.scopes.module.bindings.get(textOf(file.tree, callee)) ?? []
  return bindings.some((binding) => {
    if (binding.kind !== 'class') return false
    const bases = childOf(binding.definition, 'superclasses')?.children ?? []
    return bases.some((base) => isFramework(file, base, depth + 1))
  })
}
