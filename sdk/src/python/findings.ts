import type { Finding } from '../wire/deployments.ts'
import { rangeOf, type Range, type Source } from './source.ts'
import type { PyNode } from './syntax.ts'

export type Severity = Finding['severity']

const START: Range = { line: 1, column: 1, end_line: 1, end_column: 1 }

export function findingAt(
  source: Source,
  node: PyNode,
  rule: string,
  message: string,
  severity: Severity = 'error',
): Finding {
  return { file: source.file, ...rangeOf(source, node.start, node.end), rule, message, severity }
}

/** A finding about a whole file. */
export function findingOnFile(
  file: string,
  rule: string,
  message: string,
  severity: Severity = 'error',
): Finding {
  return { file, ...START, rule, message, severity }
}

/** More findings in one file would not help the reader, and code can have one at every other character. */
export const MAX_FINDINGS_IN_A_FILE = 100

/** The findings of one file. If there are too many, errors are kept before warnings. */
export function firstFindings(file: string, findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= MAX_FINDINGS_IN_A_FILE) return findings
  const { error = [], warning = [] } = Object.groupBy(findings, ({ severity }) => severity)
  const message = `This file has more than ${MAX_FINDINGS_IN_A_FILE} findings. Mend these, then the rest is shown.`
  const shown = [...error, ...warning].slice(0, MAX_FINDINGS_IN_A_FILE)
  return [...shown, findingOnFile(file, 'more-findings', message, 'warning')]
}

/** The limit for all files together. The findings are sent over the network, and a person fixes them one by one. */
export const MAX_FINDINGS = 200

/**
 * The findings of all files. If there are too many, errors are kept first, and one more finding says how many are left
 * out.
 */
export function firstOfAll(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= MAX_FINDINGS) return findings
  const { error = [], warning = [] } = Object.groupBy(findings, ({ severity }) => severity)
  const first = [...error, ...warning]
  const left = first.slice(MAX_FINDINGS)
  const errors = left.filter(({ severity }) => severity === 'error').length
  const message = `${left.length} more findings (${errors} of them errors) are not shown. Mend these, then the rest is shown.`
  const place = left[0]?.file ?? ''
  return [
    ...sortFindings(first.slice(0, MAX_FINDINGS)),
    findingOnFile(place, 'more-findings', message, 'warning'),
  ]
}

/** Sorts by file, line and column, and removes duplicates. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  const unique = new Map<string, Finding>()
  for (const finding of findings) unique.set(JSON.stringify(Object.values(finding)), finding)
  return [...unique.values()].sort(
    (a, b) =>
      compare(a.file, b.file) ||
      a.line - b.line ||
      a.column - b.column ||
      compare(a.severity, b.severity) ||
      compare(a.rule, b.rule) ||
      compare(a.message, b.message),
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
