import type { Finding } from '@fp/sdk/wire'
import type { editor, MarkerSeverity } from './monaco.ts'

/** What Monaco underlines in one file. The end of a finding is exclusive and counts from 1, as Monaco's. */
export function markersOf(
  findings: readonly Finding[],
  path: string,
  severities: Pick<typeof MarkerSeverity, 'Error' | 'Warning'>,
): editor.IMarkerData[] {
  return findings
    .filter((finding) => finding.file === path)
    .map((finding) => ({
      startLineNumber: finding.line,
      startColumn: finding.column,
      endLineNumber: finding.end_line,
      endColumn: finding.end_column,
      message: finding.message,
      source: finding.rule,
      severity: finding.severity === 'error' ? severities.Error : severities.Warning,
    }))
}
