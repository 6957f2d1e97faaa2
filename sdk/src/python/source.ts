/**
 * The text of one file, normalised so that every parser sees the same lines, with the start of each line. Normalising
 * keeps line numbers and columns (in UTF-16 code units) as an editor such as Monaco shows them: a byte order mark is
 * removed, CRLF and CR become LF, and lone surrogates become U+FFFD.
 */
export interface Source {
  readonly file: string
  readonly text: string
  /** The offset of the first NUL, which Python refuses anywhere in a file. In `text` it is replaced by a space. */
  readonly nul: number | undefined
  readonly lineStarts: readonly number[]
}

/** A range in a file. Lines and columns count from 1, columns in UTF-16 code units; the end is exclusive. */
export interface Range {
  readonly line: number
  readonly column: number
  readonly end_line: number
  readonly end_column: number
}

export function readSource(file: string, raw: string): Source {
  const clean = raw
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
    .toWellFormed()
  const nul = clean.indexOf('\0')
  const text = nul < 0 ? clean : clean.replaceAll('\0', ' ')
  const lineStarts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1)
  return { file, text, nul: nul < 0 ? undefined : nul, lineStarts }
}

/** The range of `text.slice(start, end)`. */
export function rangeOf(source: Source, start: number, end: number): Range {
  const from = lineIndex(source.lineStarts, start)
  const to = lineIndex(source.lineStarts, end)
  return {
    line: from + 1,
    column: start - (source.lineStarts[from] ?? 0) + 1,
    end_line: to + 1,
    end_column: end - (source.lineStarts[to] ?? 0) + 1,
  }
}

/** A line without its line break, or '' if the line does not exist. Lines count from 1. */
export function lineText(source: Source, line: number): string {
  const start = source.lineStarts[line - 1]
  if (start === undefined) return ''
  const next = source.lineStarts[line]
  return source.text.slice(start, next === undefined ? undefined : next - 1)
}

/**
 * Converts UTF-8 byte columns to UTF-16 columns (both from 1). Each line's table is cached, so that many diagnostics in
 * one line are cheap.
 */
export function utf16Columns(source: Source): (line: number, byteColumn: number) => number {
  const tables = new Map<number, Uint32Array | undefined>()
  return (line, byteColumn) => {
    if (!tables.has(line)) tables.set(line, byteTable(lineText(source, line)))
    const table = tables.get(line)
    if (!table) return byteColumn
    return (table[Math.min(byteColumn - 1, table.length - 1)] ?? 0) + 1
  }
}

/** The UTF-16 offset of each byte of a line in UTF-8, and of its end; undefined if the line is ASCII. */
function byteTable(line: string): Uint32Array | undefined {
  if (/^[\0-\x7f]*$/.test(line)) return undefined
  const table: number[] = []
  let unit = 0
  for (const character of line) {
    const code = character.codePointAt(0) ?? 0
    const bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    for (let i = 0; i < bytes; i++) table.push(unit)
    unit += character.length
  }
  table.push(unit, unit + 1)
  return Uint32Array.from(table)
}

function lineIndex(starts: readonly number[], offset: number): number {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}
