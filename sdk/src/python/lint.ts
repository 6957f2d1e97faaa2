import type { Finding } from '../wire/deployments.ts'
import { findingOnFile } from './findings.ts'
import { findNestingProblem } from './nesting.ts'
import { LINT_RULES, SYNTAX_RULES } from './lint-rules.ts'
import type { PythonLinter, RuffDiagnostic } from './ruff.ts'
import { lineText, rangeOf, utf16Columns, type Range, type Source } from './source.ts'
import { syntaxMessage } from './syntax-messages.ts'
import type { SyntaxTree } from './syntax.ts'

export interface LintResult {
  readonly syntaxErrors: readonly Finding[]
  readonly warnings: readonly Finding[]
  /** The offset of a string without closing quotes, which extends to the end of the file. */
  readonly trustedUntil: number | undefined
}

/** Beyond the first few, syntax errors are consequences of earlier ones. */
const MAX_SYNTAX_ERRORS = 20
/** More warnings in one file would not help. */
const MAX_WARNINGS = 500
/**
 * How many lines after the first error ruff checks in a broken file. For all lines, ruff could report thousands of
 * errors.
 */
const LINES_AFTER_ERROR = 500
/**
 * The limit in characters. If it is exceeded, the lines are far too long for ordinary code, and the file cannot be cut
 * at a line break.
 */
const TEXT_AFTER_ERROR = 40_000
/**
 * Several times as many as the largest ordinary file has. Each name can cause a finding of ruff, and creating an object
 * for each finding takes ten times as long as the check itself.
 */
const MAX_NAMES = 20_000
/** Messages of the parser about the line after an error that only repeat the error. */
const ECHO =
  /^(?:Unexpected indentation|Expected a statement|Expected dedent|unexpected EOF|Expected an indented block)/

/** Runs ruff over one file. Returns syntax errors in plain language, and other findings as warnings. */
export function lintFile(source: Source, tree: SyntaxTree | undefined, linter: PythonLinter): LintResult {
  const nul = source.nul === undefined ? [] : [nulError(source, source.nul)]
  if (source.text.trim() === '') return { syntaxErrors: nul, warnings: [], trustedUntil: undefined }
  const nesting = findNestingProblem(source.text, tree)
  if (nesting) {
    const at = {
      file: source.file,
      ...rangeOf(source, nesting.offset, nesting.offset + 1),
      message: nesting.message,
    }
    const error: Finding = { ...at, rule: 'syntax-error', severity: 'error' }
    if (nesting.refused) return { syntaxErrors: [...nul, error], warnings: [], trustedUntil: nesting.offset }
    const warnings: Finding[] = [{ ...at, rule: 'nested-too-deeply', severity: 'warning' }]
    return { syntaxErrors: [...nul, ...treeErrors(source, tree)], warnings, trustedUntil: undefined }
  }
  const isDense = tree !== undefined && tree.count(isNameOrStatement) > MAX_NAMES
  const diagnostics = runLinter(source, tree, isDense ? linter.checkSyntax : linter.check)
  if (!diagnostics)
    return { syntaxErrors: [...nul, ...treeErrors(source, tree)], warnings: [], trustedUntil: undefined }
  const result = sortDiagnostics(source, diagnostics, nul)
  if (!isDense) return result
  const message = `This file has more than ${MAX_NAMES.toLocaleString('en')} names and statements, so only its syntax, imports and calls were checked. Split it into smaller files.`
  return { ...result, warnings: [findingOnFile(source.file, 'too-many-names', message, 'warning')] }
}

function isNameOrStatement(type: string): boolean {
  return type === 'identifier' || type.endsWith('_statement')
}

function sortDiagnostics(
  source: Source,
  diagnostics: readonly RuffDiagnostic[],
  nul: readonly Finding[],
): LintResult {
  const column = utf16Columns(source)
  const syntaxErrors = [...nul]
  const warnings: Finding[] = []
  let trustedUntil: number | undefined
  let lastErrorLine = -1
  for (const found of diagnostics) {
    const { code, message } = found
    const isParserError = code === null || code === 'invalid-syntax'
    if (!isParserError && !SYNTAX_RULES.has(code)) {
      const rule = LINT_RULES[code]
      if (rule && warnings.length < MAX_WARNINGS)
        warnings.push({
          file: source.file,
          ...place(source, found, column),
          rule,
          message: `${message} (${code})`,
          severity: 'warning',
        })
      continue
    }
    const { row } = found.start_location
    const isEcho =
      isParserError &&
      (row === lastErrorLine ||
        (row === lastErrorLine + 1 && ECHO.test(message)) ||
        (lastErrorLine > 0 && message.includes('end of file')))
    if (isParserError) lastErrorLine = row
    if (isEcho || trustedUntil !== undefined || syntaxErrors.length >= MAX_SYNTAX_ERRORS) continue
    const range = place(source, found, column)
    const words = syntaxMessage(message, lineText(source, row))
    syntaxErrors.push({
      file: source.file,
      ...range,
      rule: 'syntax-error',
      message: words,
      severity: 'error',
    })
    const offset = (source.lineStarts[range.line - 1] ?? 0) + range.column - 1
    trustedUntil ??= openText(source.text, offset, message)
  }
  // Two rules find an `await` at a wrong place.
  const seen = new Set<string>()
  const once = syntaxErrors.filter(
    ({ line, column: at }) => !seen.has(`${line}:${at}`) && seen.add(`${line}:${at}`),
  )
  return { syntaxErrors: once, warnings, trustedUntil }
}

/**
 * The range of a diagnostic, on one line. If the diagnostic extends over several lines, it ends at the first line
 * break.
 */
function place(
  source: Source,
  found: RuffDiagnostic,
  column: (line: number, byteColumn: number) => number,
): Range {
  const last = source.lineStarts.length
  let line = Math.min(found.start_location.row, last)
  let start = column(line, found.start_location.column)
  // An error about an early end of the file is located after the last line break. It is shown on the last line with
  // text.
  if (lineText(source, line) === '' && found.start_location.row >= last) {
    while (line > 1 && lineText(source, line).trim() === '') line -= 1
    start = lineText(source, line).length + 1
    return { line, column: start, end_line: line, end_column: start + 1 }
  }
  if (found.end_location.row === line) {
    const end = column(line, found.end_location.column)
    return { line, column: start, end_line: line, end_column: Math.max(end, start + 1) }
  }
  return {
    line,
    column: start,
    end_line: line,
    end_column: Math.max(lineText(source, line).length + 1, start + 1),
  }
}

/**
 * Where an unterminated triple-quoted string begins. The error of an f-string is located somewhere inside the string.
 */
function openText(text: string, offset: number, message: string): number | undefined {
  if (/closing quote/.test(message))
    return /^[a-z]{0,2}(?:"""|''')/i.test(text.slice(offset, offset + 6)) ? offset : undefined
  if (!/unterminated triple-quoted/.test(message)) return undefined
  return Math.max(0, text.lastIndexOf('"""', offset), text.lastIndexOf("'''", offset))
}

function runLinter(
  source: Source,
  tree: SyntaxTree | undefined,
  check: PythonLinter['check'],
): readonly RuffDiagnostic[] | undefined {
  if (!tree?.hasError) return check(source.text)
  const start = tree.ofType('ERROR').next().value?.start ?? 0
  const lastLine = rangeOf(source, start, start).line + LINES_AFTER_ERROR
  const end = source.lineStarts[lastLine] ?? source.text.length
  if (end - start > TEXT_AFTER_ERROR) return undefined
  if (end === source.text.length) return check(source.text)
  const found = check(source.text.slice(0, end))
  // An error at the cut may be caused by the cut. Without any other error the two parsers disagree, and ruff checks the
  // whole file.
  const isReal = found?.some(
    ({ code, start_location }) => code === 'invalid-syntax' && start_location.row < lastLine - 1,
  )
  return isReal ? found : check(source.text)
}

function nulError(source: Source, offset: number): Finding {
  const message =
    'The file holds a NUL character, which Python refuses. Delete it, or save the file as plain UTF-8 text.'
  return {
    file: source.file,
    ...rangeOf(source, offset, offset + 1),
    rule: 'syntax-error',
    message,
    severity: 'error',
  }
}

/** The errors of the tree-sitter parser, for files that ruff has not checked. */
function treeErrors(source: Source, tree: SyntaxTree | undefined): Finding[] {
  const first = tree?.hasError ? tree.ofType('ERROR').next().value : undefined
  if (!first) return []
  const { line, column } = rangeOf(source, first.start, first.start)
  const message = 'Python does not understand the code here.'
  return [
    {
      file: source.file,
      line,
      column,
      end_line: line,
      end_column: column + 1,
      rule: 'syntax-error',
      message,
      severity: 'error',
    },
  ]
}
