import type { Finding } from '../wire/deployments.ts'
import { createAllowList, DEFAULT_ALLOWED_IMPORTS } from './allow-list.ts'
import { checkApp, findApp } from './app-discovery.ts'
import { checkCalls } from './calls.ts'
import { checkCycles } from './cycles.ts'
import { findDamage } from './damage.ts'
import { findingOnFile, sortFindings } from './findings.ts'
import { checkImports, targetOf } from './import-rules.ts'
import { dropNoise } from './lint-noise.ts'
import { lintFile, type LintResult } from './lint.ts'
import { cleanPath, indexModules, type LocalModules } from './modules.ts'
import type { FileLookup, PythonFile } from './python-file.ts'
import { createResolver } from './resolve.ts'
import type { PythonLinter } from './ruff.ts'
import { analyseScopes } from './scopes.ts'
import { readSource, type Source } from './source.ts'
import type { PythonParser, SyntaxTree } from './syntax.ts'

export interface ValidateOptions {
  /** Top-level modules, or dotted ones such as `xml.etree`; instead of DEFAULT_ALLOWED_IMPORTS. */
  readonly allowedImports?: readonly string[]
  /** The file that holds the app; `app.py` by default. */
  readonly entrypoint?: string
}

export interface Validator {
  /**
   * All findings of all files, by file and line. Files that do not end in `.py` only count as there. Never throws,
   * whatever the text. Synchronous: about 1 ms a kilobyte, so keep it off an event loop that serves others.
   */
  validate(files: Readonly<Record<string, string>>, options?: ValidateOptions): Finding[]
}

export interface ValidatorDeps {
  readonly parser: PythonParser
  readonly linter: PythonLinter
}

interface Analysed extends PythonFile {
  readonly lint: LintResult
}

const NO_TREE: SyntaxTree = { text: '', nodes: [], depth: 0, hasError: false }

export function createValidator(deps: ValidatorDeps): Validator {
  return {
    validate(files, { allowedImports = DEFAULT_ALLOWED_IMPORTS, entrypoint = 'app.py' } = {}) {
      const modules = indexModules(Object.keys(files))
      const allowed = createAllowList(allowedImports)
      const analysed = new Map<string, Analysed>()
      const lookup: FileLookup = (path) => analysed.get(path)
      for (const [path, text] of Object.entries(files)) {
        if (path.endsWith('.py')) analysed.set(path, analyse(readSource(path, text), deps, modules, lookup))
      }
      const all = [...analysed.values()]
      const entry = all.find(({ source }) => cleanPath(source.file) === cleanPath(entrypoint))
      const app = entry && findApp(entry, modules, lookup)
      const used = namesUsedElsewhere(all, modules)
      if (entry && app)
        used.set(entry.source.file, new Set([...(used.get(entry.source.file) ?? []), ...app.names]))
      const findings = all.flatMap((file) => [
        ...file.lint.syntaxErrors,
        ...dropNoise(file.lint.warnings, file, used.get(file.source.file) ?? new Set()),
        ...checkImports(file, modules, allowed),
        ...checkCalls(file, (module) => allowed.allows(module)),
      ])
      findings.push(...checkCycles(all, modules, entry?.source.file ?? entrypoint))
      findings.push(
        ...(entry && app ? checkApp(entry, app) : [missingEntrypoint(entrypoint, all, modules, lookup)]),
      )
      return sortFindings(findings)
    },
  }
}

function analyse(source: Source, deps: ValidatorDeps, modules: LocalModules, lookup: FileLookup): Analysed {
  const tree = deps.parser.parse(source.text)
  const lint = lintFile(source, tree, deps.linter)
  const known = tree ?? NO_TREE
  const hasSyntaxError = lint.syntaxErrors.length > 0 || tree === undefined
  const scopes = analyseScopes(known)
  const damage = findDamage(known, lint.trustedUntil)
  const starBinds: Parameters<typeof createResolver>[2]['starBinds'] = (from, name) => {
    const other = lookup(modules.fileOf(targetOf(from, source.file) ?? '') ?? '')
    if (!other) return false
    return other.scopes.module.bindings.has(name) || other.scopes.module.stars.some(({ level }) => level > 0)
  }
  const resolver = createResolver(known, scopes, { starBinds, unknown: damage.maybeDefined })
  return { source, tree: known, scopes, resolver, damage, hasSyntaxError, lint }
}

/** For each file the names that other files import from it. */
function namesUsedElsewhere(files: readonly PythonFile[], modules: LocalModules): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>()
  for (const file of files) {
    for (const from of file.scopes.imports) {
      const path = modules.fileOf(targetOf(from, file.source.file) ?? '')
      if (path === undefined || path === file.source.file || from.kind === 'import') continue
      const names = used.get(path) ?? new Set()
      used.set(path, names)
      for (const { name } of from.names) names.add(name)
    }
  }
  return used
}

function missingEntrypoint(
  entrypoint: string,
  files: readonly PythonFile[],
  modules: LocalModules,
  lookup: FileLookup,
): Finding {
  const isFree = (file: PythonFile): boolean => !cleanPath(file.source.file).includes('/')
  const other = files.find((file) => isFree(file) && findApp(file, modules, lookup).names.size > 0)
  const hint = other
    ? `${other.source.file} holds an app: rename it to ${entrypoint}.`
    : 'Create it with `app = FastAPI()` or `app, rt = fast_app()` in it.'
  return findingOnFile(
    entrypoint,
    'entrypoint-missing',
    `There is no ${entrypoint}, the file that is served. ${hint}`,
  )
}
