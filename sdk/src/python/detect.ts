import type { Finding } from '../wire/deployments.ts'
import { checkApp, findApp, type App, type Candidate } from './app-discovery.ts'
import { formatEntrypoint, parseEntrypoint, type Entrypoint } from './entrypoint.ts'
import { findingOnFile } from './findings.ts'
import { mountedNames, usesAttributesOf } from './frameworks.ts'
import { importRoot } from './import-root.ts'
import { cleanPath } from './modules.ts'
import type { Project } from './project.ts'
import type { PythonFile } from './python-file.ts'
import { reachableFrom } from './reachability.ts'

/** What is served, and the findings of the search for it. */
export interface Detected {
  /** undefined if nothing can be served; one of the findings is then an error. */
  readonly entrypoint: Entrypoint | undefined
  readonly project: Project
  /** The file that runs first. If undefined, no file is known to be unreachable. */
  readonly file: PythonFile | undefined
  readonly app: App | undefined
  readonly findings: readonly Finding[]
}

/** The usual places of an app, in the order in which the platform looks. */
const USUAL = [
  'app.py', 'main.py', 'app/main.py', 'app/app.py', 'app/__init__.py', 'src/main.py', 'src/app.py', 'src/app/main.py',
  'server.py', 'asgi.py',
] // prettier-ignore
const USUAL_NAMES = ['main.py', 'app.py']
/** Folders and files whose apps are not meant to be served. */
const ASIDE =
  /(?:^|\/)(?:tests?|examples?|docs?|scripts?|migrations|alembic)\/|(?:^|\/)(?:test_[^/]*|[^/]*_test|conftest)\.py$/
const SET_IT = 'Set the entrypoint in the settings of the app'

/** A file with an app, its path and the project in which its imports are found. */
interface Home {
  readonly path: string
  readonly file: PythonFile
  readonly project: Project
  readonly app: App
}

/** Finds what to serve in an app's files. The result is deterministic, and no code runs. */
export function detect(project: (root: string) => Project): Detected {
  const homes = project('')
    .files.filter(({ source }) => !ASIDE.test(cleanPath(source.file)))
    .flatMap(({ source }): Home[] => {
      const path = cleanPath(source.file)
      const own = project(importRoot(path, project))
      const file = own.file(source.file)
      const app = file && findApp(file, own)
      return file && app && app.candidates.length > 0 ? [{ path, file, project: own, app }] : []
    })
  const [first, ...others] = choose(homes)
  if (!first) return nothingFound(project)
  const found = serve(first)
  const file = first.file.source.file
  if (others.length === 0) return { ...found, findings: [] }
  const names = `Found apps in ${list([first, ...others].map(({ path }) => path))}`
  if (rank(first.path) < rank(others[0]?.path ?? '')) {
    const message = `${names}; ${first.path} is served. ${SET_IT} to serve another.`
    return { ...found, findings: [findingOnFile(file, 'entrypoint-ambiguous', message, 'warning')] }
  }
  const message = `${names}, and none of them imports the others. ${SET_IT}, such as ${formatEntrypoint(found.entrypoint)}.`
  return { ...found, findings: [findingOnFile(file, 'entrypoint-ambiguous', message)] }
}

/** The apps that may be meant; the most likely is first. */
function choose(homes: readonly Home[]): Home[] {
  const makers = homes.filter(isMade)
  const considered = makers.length > 0 ? makers : homes
  const reach = new Map(considered.map((home) => [home, reachableFrom(home.file.source.file, home.project)]))
  const reaches = (from: Home, to: Home): boolean => reach.get(from)?.has(to.file.source.file) === true
  // A file that another candidate imports is part of that candidate.
  const roots = considered.filter(
    (home) => !considered.some((other) => other !== home && reaches(other, home) && !reaches(home, other)),
  )
  const sure = roots.filter(({ app }) => app.candidates.some(({ grade }) => grade === 'app'))
  const sorted = (sure.length > 0 ? sure : roots).toSorted(
    (a, b) => rank(a.path) - rank(b.path) || (a.path < b.path ? -1 : 1),
  )
  // app.py is always served if it exists, even if it imports its app.
  const usual = homes.find(({ path }) => path === USUAL[0])
  if (
    usual &&
    !roots.some(
      (home) =>
        home !== usual && reachableFrom(home.file.source.file, home.project).has(usual.file.source.file),
    )
  ) {
    const left = sorted.filter(
      (home) =>
        home !== usual && !reachableFrom(usual.file.source.file, usual.project).has(home.file.source.file),
    )
    return [usual, ...left]
  }
  // Files that import each other count as one app.
  const [first] = sorted
  return first ? sorted.filter((home) => home === first || !reaches(first, home)) : []
}

/**
 * Whether the file defines an app or adds to an imported one. A file that only imports an app is a script that starts
 * it.
 */
function isMade({ file, app }: Home): boolean {
  return app.candidates.some(({ name, imported }) => !imported || usesAttributesOf(name, file))
}

function rank(path: string): number {
  const usual = USUAL.indexOf(path)
  if (usual >= 0) return usual
  const parts = path.split('/')
  return (USUAL_NAMES.includes(parts.at(-1) ?? '') ? 100 : 200) + parts.length
}

function serve({ path, file, project, app }: Home): Detected & { readonly entrypoint: Entrypoint } {
  const choice = chooseVariable(app, file)
  const target = targetFor(path, project)
  const entrypoint: Entrypoint = choice
    ? { ...target, variable: choice.name, factory: choice.factory }
    : target
  return { entrypoint, project, file, app, findings: [] }
}

/**
 * Names the module; a file whose module name a folder also has is named by its path, because Python could import the
 * folder.
 */
export function targetFor(path: string, { modules }: Project): Entrypoint {
  const module = modules.moduleOf(path)
  const hidden =
    module === undefined || module === '' || modules.isFolder(module) !== path.endsWith('__init__.py')
  return hidden
    ? { root: '', target: path, factory: false }
    : { root: modules.root, target: module, factory: false }
}

/** Returns undefined if only running the code would show the values, so that the runner must decide. */
function chooseVariable({ candidates }: App, file: PythonFile): Candidate | undefined {
  const sure = candidates.filter(({ grade }) => grade === 'app')
  const app = candidates.find(({ name }) => name === 'app')
  if (app && (app.grade === 'app' || sure.length === 0)) return app
  if (app) return undefined
  const mounted = mountedNames(file)
  const made = sure.filter(({ factory }) => !factory)
  return (
    made.find(({ name }) => !mounted.has(name)) ??
    made[0] ??
    sure.find(({ name }) => name === 'create_app') ??
    sure[0] ??
    candidates[0]
  )
}

/**
 * Applies the entrypoint that the owner has set. If it is the path of a file, the platform finds the app in the file.
 */
export function applySetting(setting: string, project: (root: string) => Project): Detected {
  const none = (path: string, message: string): Detected => ({
    entrypoint: undefined,
    project: project(''),
    file: undefined,
    app: undefined,
    findings: [findingOnFile(path, 'entrypoint-missing', message)],
  })
  const given = parseEntrypoint(setting)
  if (!given) {
    return none(
      '',
      `The entrypoint is set to ${JSON.stringify(setting)}, which names no module. Write main:app, app/main.py or src/main:create_app().`,
    )
  }
  const isPath = given.target.endsWith('.py')
  const own = project(isPath ? importRoot(given.target, project) : given.root)
  const path = isPath
    ? own.files.find(({ source }) => cleanPath(source.file) === given.target)?.source.file
    : own.modules.fileOf(given.target)
  const file = path === undefined ? undefined : own.file(path)
  if (!file) {
    const expected = isPath
      ? given.target
      : `${given.root === '' ? '' : `${given.root}/`}${given.target.replaceAll('.', '/')}.py`
    return none(
      expected,
      `The entrypoint is set to ${setting}, and there is no ${expected}. Create it, or change the entrypoint in the settings of the app.`,
    )
  }
  const app = findApp(file, own)
  const clean = cleanPath(file.source.file)
  const target = isPath ? targetFor(clean, own) : given
  const base = { project: own, file, app }
  if (given.variable === undefined) {
    const served = serve({ path: clean, file, project: own, app })
    const entrypoint = { ...served.entrypoint, root: target.root, target: target.target }
    return { ...base, entrypoint, findings: checkApp(file, app) }
  }
  const entrypoint: Entrypoint = { ...target, variable: given.variable, factory: given.factory }
  const [name = ''] = given.variable.split('.')
  const { module } = file.scopes
  const mayBind =
    module.bindings.has(name) ||
    module.stars.length > 0 ||
    module.bindings.has('__getattr__') ||
    file.hasSyntaxError
  if (mayBind) return { ...base, entrypoint, findings: [] }
  const message = `The entrypoint is set to ${setting}, and ${clean} defines no \`${name}\`. Define it, or change the entrypoint in the settings of the app.`
  return { ...base, entrypoint, findings: [findingOnFile(file.source.file, 'no-app-found', message)] }
}

function nothingFound(project: (root: string) => Project): Detected {
  const files = project('').files
  const path = USUAL.find((usual) => files.some(({ source }) => cleanPath(source.file) === usual))
  if (path === undefined) {
    const message =
      'No file of the app holds an app. Create main.py with `app = FastAPI()` or `app, rt = fast_app()` in it, or set the entrypoint in the settings of the app.'
    return {
      entrypoint: undefined,
      project: project(''),
      file: undefined,
      app: undefined,
      findings: [findingOnFile('main.py', 'entrypoint-missing', message)],
    }
  }
  const own = project(importRoot(path, project))
  const file = own.files.find(({ source }) => cleanPath(source.file) === path)
  if (!file) return { entrypoint: undefined, project: own, file, app: undefined, findings: [] }
  const app = findApp(file, own)
  return { entrypoint: undefined, project: own, file, app, findings: checkApp(file, app) }
}

function list(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`
}
