import type { Finding } from '../wire/deployments.ts'
import { createAllowList, DEFAULT_ALLOWED_IMPORTS } from './allow-list.ts'
import { checkCalls } from './calls.ts'
import { checkCycles } from './cycles.ts'
import { findDamage } from './damage.ts'
import { applySetting, detect } from './detect.ts'
import { formatEntrypoint } from './entrypoint.ts'
import { findingOnFile, firstFindings, sortFindings } from './findings.ts'
import { importRoot } from './import-root.ts'
import { checkImports, targetOf } from './import-rules.ts'
import { dropNoise } from './lint-noise.ts'
import { lintFile, type LintResult } from './lint.ts'
import { checkLocalFiles } from './local-files.ts'
import { createProjects, type Project } from './project.ts'
import type { ParsedFile } from './python-file.ts'
import { reachableFrom } from './reachability.ts'
import type { PythonLinter } from './ruff.ts'
import { analyseScopes } from './scopes.ts'
import { readSource, type Source } from './source.ts'
import { checkStarNames } from './star-names.ts'
import type { PythonParser } from './syntax.ts'
import { SyntaxTree, TreeGrower } from './tree.ts'

export interface ValidateOptions {
  /** Top-level modules, or dotted ones such as `xml.etree`, that replace DEFAULT_ALLOWED_IMPORTS. */
  readonly allowedImports?: readonly string[]
  /** What to serve, in the notation of entrypoint.ts. If undefined, the validator looks for the app. */
  readonly entrypoint?: string
}

export interface Validation {
  readonly findings: Finding[]
  /** What is served, in the notation of entrypoint.ts; null if nothing can be served, which a finding explains. */
  readonly entrypoint: string | null
}

export interface Validator {
  /**
   * Returns all findings, sorted by file and line, and what to serve. Of files that do not end in `.py` only the paths
   * are used. Never throws, whatever the text. Synchronous: takes about 1 ms per kilobyte of ordinary code and at most
   * about 4, so it should not run on an event loop that serves others.
   */
  check(files: Readonly<Record<string, string>>, options?: ValidateOptions): Validation
  /** Returns only the findings of `check`. */
  validate(files: Readonly<Record<string, string>>, options?: ValidateOptions): Finding[]
}

export interface ValidatorDeps {
  readonly parser: PythonParser
  readonly linter: PythonLinter
  /**
   * The clock for `MAX_WORK`, in ms. By default the time of day, which also counts other processes on a busy machine.
   */
  readonly now?: () => number
}

/**
 * The most work that a check may take, in ms. This is several times what the largest ordinary app takes, even on a busy
 * machine. Files that take more are made to do so; their check ends with a finding that says so.
 */
export const MAX_WORK = 10_000

interface Linted extends ParsedFile {
  readonly lint: LintResult
}

const NO_TREE = new SyntaxTree({
  text: '',
  typeNames: [],
  fieldNames: [],
  fieldNumbers: new Map(),
  depth: 0,
  hasError: false,
  ...new TreeGrower().take(),
})

export function createValidator(deps: ValidatorDeps): Validator {
  const check: Validator['check'] = (
    files,
    { allowedImports = DEFAULT_ALLOWED_IMPORTS, entrypoint: setting } = {},
  ) => {
    const paths = Object.keys(files)
    const now = deps.now ?? (() => performance.now())
    const began = now()
    const allowed = createAllowList(allowedImports)
    const parsed: Linted[] = []
    for (const path of paths.filter((each) => each.endsWith('.py'))) {
      if (now() - began > MAX_WORK) return tooMuch(path, parsed)
      parsed.push(parse(readSource(path, files[path] ?? ''), deps))
    }
    const project = createProjects(paths, parsed)
    const served = setting === undefined ? detect(project) : applySetting(setting, project)
    const { modules } = served.project
    const used = namesUsedElsewhere(served.project)
    for (const { name } of served.app?.candidates ?? []) use(used, served.file?.source.file ?? '', name)
    const entry = served.file?.source.file
    const reachable = entry === undefined ? undefined : reachableFrom(entry, served.project)
    const findings = parsed.flatMap((file) => {
      const path = file.source.file
      const isReached = !reachable || reachable.has(path)
      // Any other file is a script, a test or another app: its imports start from the folder where most of them are
      // found.
      const around = isReached ? served.project : project(importRoot(path, project))
      const seen = around.file(path)
      if (!seen) return []
      const found = [
        ...file.lint.syntaxErrors,
        ...dropNoise(file.lint.warnings, seen, used.get(path) ?? new Set()),
        ...checkImports(seen, around.modules, allowed),
        ...checkCalls(seen, around.modules),
        ...checkStarNames(seen),
        // Files that only a script writes do not matter to the app.
        ...(isReached ? checkLocalFiles(seen) : []),
      ]
      return firstFindings(path, isReached ? found : found.map(asWarning))
    })
    findings.push(...checkCycles(served.project.files, modules, entry ?? ''), ...served.findings)
    const { entrypoint } = served
    return { findings: sortFindings(findings), entrypoint: entrypoint ? formatEntrypoint(entrypoint) : null }
  }
  return { check, validate: (files, options) => check(files, options).findings }
}

/** The result of a check that ends early, at the file `path`. */
function tooMuch(path: string, parsed: readonly Linted[]): Validation {
  const message = `Checking the files took more than ${MAX_WORK / 1000} s of work, so ${path} and those after it were not checked. Make the files simpler or smaller.`
  const found = parsed.flatMap(({ lint }) => lint.syntaxErrors)
  return {
    findings: sortFindings([...found, findingOnFile(path, 'too-much-to-check', message)]),
    entrypoint: null,
  }
}

/** The app never runs this file, so its errors do not stop a deploy. */
function asWarning(finding: Finding): Finding {
  return { ...finding, severity: 'warning' }
}

function parse(source: Source, deps: ValidatorDeps): Linted {
  const tree = deps.parser.parse(source.text)
  const lint = lintFile(source, tree, deps.linter)
  const known = tree ?? NO_TREE
  const hasSyntaxError = lint.syntaxErrors.length > 0 || tree === undefined
  const damage = findDamage(known, lint.trustedUntil)
  return { source, tree: known, scopes: analyseScopes(known), damage, hasSyntaxError, lint }
}

/** The names of each file that other files import from it. */
function namesUsedElsewhere({ files, modules }: Project): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>()
  for (const file of files) {
    for (const from of file.scopes.imports) {
      const path = modules.fileOf(targetOf(from, file.source.file, modules) ?? '')
      if (path === undefined || path === file.source.file || from.kind === 'import') continue
      for (const { name } of from.names) use(used, path, name)
    }
  }
  return used
}

function use(used: Map<string, Set<string>>, path: string, name: string): void {
  const names = used.get(path) ?? new Set()
  used.set(path, names.add(name))
}
