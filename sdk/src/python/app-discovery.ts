import type { Finding } from '../wire/deployments.ts'
import { findingAt, findingOnFile } from './findings.ts'
import { isAsync, isFrameworkCall, makesApp, requiredParameters } from './frameworks.ts'
import { guardsOf } from './guards.ts'
import { targetOf } from './import-rules.ts'
import type { PyImport } from './imports.ts'
import type { Project } from './project.ts'
import type { PythonFile } from './python-file.ts'
import type { Binding } from './bindings.ts'
import { childOf, textOf, type PyNode } from './syntax.ts'

const ASGI_NAMES = ['app', 'application']
const FACTORY = 'create_app'
/**
 * Other functions count as factories only if their names suggest it, because tests have helpers that return an app too.
 */
const FACTORY_NAME = /app|api|asgi|server/i
const WRITE = 'Write `app = FastAPI()` or `app, rt = fast_app()` at the top level of the file.'
/** How many local modules are followed to find an imported app. */
const MAX_HOPS = 10

const LITERALS = new Set([
  'integer', 'float', 'string', 'concatenated_string', 'list', 'dictionary', 'set', 'tuple', 'none', 'true', 'false',
  'list_comprehension', 'set_comprehension', 'dictionary_comprehension', 'generator_expression', 'comparison_operator',
  'not_operator', 'unary_operator', 'expression_list',
]) // prettier-ignore

/** A name at the top level of a file that can be served. */
export interface Candidate {
  readonly name: string
  /**
   * `app`: an instance of a framework. `maybe`: it has an app's name, and only running the code would show its value.
   */
  readonly grade: 'app' | 'maybe'
  readonly factory: boolean
  /** Whether another file defines the name. */
  readonly imported: boolean
}

export interface App {
  /** In the order of their definition. */
  readonly candidates: readonly Candidate[]
  /** Why something that looks like an app cannot be served. */
  readonly problem?: { readonly node: PyNode; readonly message: string }
}

/**
 * Looks for what the runner would serve (runner/src/fp_runner/loader.py): an instance of a framework under any name,
 * `app` or `application` with a value that may be an ASGI callable, or a function that returns an app. In doubt a name
 * counts as an app, because the runner makes the final decision.
 */
export function findApp(file: PythonFile, project: Project): App {
  const { problem } = judgedIn(file, project)
  const candidates = new Map<string, Candidate>()
  for (const seen of withStars(file, project)) {
    for (const found of judgedIn(seen, project).candidates) {
      if (!candidates.has(found.name))
        candidates.set(found.name, seen === file ? found : { ...found, imported: true })
    }
  }
  const list = [...candidates.values()]
  return problem ? { candidates: list, problem } : { candidates: list }
}

/**
 * The file, and the files whose names it gets through star imports. Each is returned once, even in a cycle of imports.
 */
function withStars(file: PythonFile, project: Project): ReadonlySet<PythonFile> {
  const found = new Set([file])
  for (const seen of found) {
    for (const from of seen.scopes.module.stars) {
      const other = localFile(from, seen, project)
      if (other) found.add(other)
    }
  }
  return found
}

/**
 * The names that each file binds itself. Cached, because every file that imports the file needs them. A file belongs to
 * one project.
 */
const judged = new WeakMap<PythonFile, App>()

function judgedIn(file: PythonFile, project: Project): App {
  const known = judged.get(file)
  if (known) return known
  const candidates = new Map<string, Candidate>()
  let problem: App['problem']
  for (const [name, bindings] of file.scopes.module.bindings) {
    for (const binding of bindings) {
      const verdict = judge(name, binding, { file, project, hops: 0 })
      if (typeof verdict === 'string') {
        const grade = verdict === 'maybe' ? 'maybe' : 'app'
        if (candidates.get(name)?.grade === 'app') continue
        candidates.set(name, {
          name,
          grade,
          factory: verdict === 'factory',
          imported: binding.kind === 'import',
        })
      } else if (verdict && !problem) problem = { node: binding.site, message: verdict.why }
    }
  }
  const list = [...candidates.values()]
  const app: App = problem ? { candidates: list, problem } : { candidates: list }
  judged.set(file, app)
  return app
}

export function checkApp(file: PythonFile, app: App): Finding[] {
  if (app.candidates.length > 0 || file.hasSyntaxError) return []
  if (app.problem) return [findingAt(file.source, app.problem.node, 'no-app-found', app.problem.message)]
  const what = file.source.text.trim() === '' ? 'is empty' : 'has no app'
  return [findingOnFile(file.source.file, 'no-app-found', `${file.source.file} ${what}. ${WRITE}`)]
}

interface Context {
  readonly file: PythonFile
  readonly project: Project
  readonly hops: number
}

/** Whether and how a name can be served. `why` says why it cannot, although it looks like an app. */
type Verdict = 'app' | 'factory' | 'maybe' | false | { readonly why: string }

function judge(name: string, binding: Binding, context: Context): Verdict {
  const { file } = context
  const isAsgiName = ASGI_NAMES.includes(name)
  if (file.damage.isDamaged(binding.site)) return false
  if (guardsOf(file.tree).neverRuns(binding.site)) {
    const why = `${name} is made only when the file is run as a script, which the platform does not do. ${WRITE}`
    return isAsgiName && { why }
  }
  if (binding.kind === 'import') return imported(name, binding, context)
  if (binding.kind === 'function') {
    if (name === FACTORY) return factory(file, binding.definition)
    if (isAsgiName) return asgiFunction(name, file, binding.definition)
    return FACTORY_NAME.test(name) && makesApp(file, binding.definition) && 'factory'
  }
  if (binding.kind === 'class') {
    // An ASGI class may have __await__: `await app(scope, receive, send)` then awaits an instance.
    if (isAsgiName && /\bdef __await__\(/.test(textOf(file.tree, binding.definition))) return 'app'
    const why = `${name} is a class, and the server needs an instance: name the class App and write \`${name} = App()\`.`
    return isAsgiName && { why }
  }
  if (binding.kind === 'annotation') return false
  const doubt: Verdict = isAsgiName ? 'maybe' : name === FACTORY && 'factory'
  if (!binding.value) return doubt
  if (binding.kind === 'value' && LITERALS.has(binding.value.type)) return false
  // In `app, rt = fast_app()` only the first name is the app.
  const isRest = binding.kind === 'unpacked' && binding.site.parent?.children[0] !== binding.site
  return !isRest && isFrameworkCall(file, binding.value) ? 'app' : doubt
}

function imported(name: string, binding: Binding & { kind: 'import' }, context: Context): Verdict {
  const { file, project, hops } = context
  const { modules } = project
  const doubt: Verdict = ASGI_NAMES.includes(name) ? 'maybe' : name === FACTORY && 'factory'
  if (binding.from.kind === 'import') {
    const why = `${name} is a module here. Import the app from it: \`from ${binding.from.module} import app\`.`
    return ASGI_NAMES.includes(name) && { why }
  }
  const target = targetOf(binding.from, file.source.file, modules) ?? binding.from.module
  const other = project.file(modules.fileOf(target) ?? '')
  if (!other || other === file || hops >= MAX_HOPS || other.hasSyntaxError) {
    if (modules.fileOf(target) === undefined && modules.has(`${target}.${binding.name}`)) return false
    return doubt
  }
  const bindings = other.scopes.module.bindings.get(binding.name)
  if (!bindings) {
    if (!doubt || modules.has(`${target}.${binding.name}`)) return false
    if (other.scopes.module.stars.length > 0 || other.scopes.module.bindings.has('__getattr__')) return doubt
    return {
      why: `${other.source.file} defines no \`${binding.name}\`, so there is nothing to import. ${WRITE}`,
    }
  }
  const verdicts = verdictsOn(binding.name, bindings, { ...context, file: other, hops: hops + 1 })
  if (!verdicts) return doubt
  const best =
    verdicts.find((verdict) => verdict === 'app') ?? verdicts.find((verdict) => typeof verdict === 'string')
  if (best !== undefined) return best === 'maybe' && !doubt ? false : best
  // A value with another name may still be an ASGI callable, as in `from main import service as app`.
  if (binding.name !== name && doubt) return doubt
  return verdicts.find((verdict) => typeof verdict === 'object') ?? false
}

/**
 * By file and name; undefined during the search. Without this cache, files that import each other's names would be
 * searched along countless paths.
 */
const verdictsOf = new WeakMap<PythonFile, Map<string, readonly Verdict[] | undefined>>()

/** Returns undefined in a cycle of imports. */
function verdictsOn(
  name: string,
  bindings: readonly Binding[],
  context: Context,
): readonly Verdict[] | undefined {
  const { file } = context
  const known = verdictsOf.get(file) ?? new Map<string, readonly Verdict[] | undefined>()
  verdictsOf.set(file, known)
  if (!known.has(name)) {
    known.set(name, undefined)
    known.set(
      name,
      bindings.map((binding) => judge(name, binding, context)),
    )
  }
  return known.get(name)
}

function localFile(from: PyImport, file: PythonFile, project: Project): PythonFile | undefined {
  return project.file(project.modules.fileOf(targetOf(from, file.source.file, project.modules) ?? '') ?? '')
}

function factory(file: PythonFile, definition: PyNode): Verdict {
  if (definition.parent?.type === 'decorated_definition') return 'factory'
  if (isAsync(file, definition)) {
    return {
      why: `${FACTORY}() is async, and the server calls it without await. Make it a plain function: \`def ${FACTORY}():\`.`,
    }
  }
  const needed = requiredParameters(file, definition)
  if (needed.length === 0) return 'factory'
  return {
    why: `${FACTORY}() needs arguments (${needed.join(', ')}), and the server gives none. Give them defaults.`,
  }
}

function asgiFunction(name: string, file: PythonFile, definition: PyNode): Verdict {
  if (definition.parent?.type === 'decorated_definition') return 'maybe'
  const parameters = childOf(definition, 'parameters')?.children ?? []
  const takesThree =
    parameters.length >= 3 || parameters.some((parameter) => parameter.type === 'list_splat_pattern')
  if (isAsync(file, definition) && takesThree) return 'app'
  return {
    why: `${name} is a function that the server cannot call. Write \`app = FastAPI()\`, or \`async def ${name}(scope, receive, send):\`.`,
  }
}
