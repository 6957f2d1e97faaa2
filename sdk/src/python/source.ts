/**
 * The text of one file, cleaned so that every parser sees the same lines, and the way back from an offset to a place.
 * Cleaning keeps each line's number and each column (in UTF-16 code units) as an editor such as Monaco shows them:
 * a byte order mark goes, CRLF and CR become LF, lone surrogates become U+FFFD.
 */
export interface Source {
  readonly file: string
  readonly text: string
  /** Offset of the first NUL of the file, which Python refuses anywhere. In `text` it is a space. */
  readonly nul: number | undefined
  readonly lineStarts: readonly number[]
}

/** A place in a file: from 1, columns in UTF-16 code units, the end exclusive. */
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

/** The place of `text.slice(start, end)`. */
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

/** A line without its line break; empty for a line that does not exist. Lines count from 1. */
export function lineText(source: Source, line: number): string {
  const start = source.lineStarts[line - 1]
  if (start === undefined) return ''
  const next = source.lineStarts[line]
  return source.text.slice(start, next === undefined ? undefined : next - 1)
}

/** The UTF-16 column (from 1) of a UTF-8 byte column (from 1), one memo a line so that many finds in a line stay cheap. */
export function utf16Columns(source: Source): (line: number, byteColumn: number) => number {
  const tables = new Map<number, Uint32Array | undefined>()
  return (line, byteColumn) => {
    if (!tables.has(line)) tables.set(line, byteTable(lineText(source, line)))
    const table = tables.get(line)
    if (!table) return byteColumn
    return (table[Math.min(byteColumn - 1, table.length - 1)] ?? 0) + 1
  }
}

/** For each byte of a line's UTF-8 form (and its end) the UTF-16 offset; undefined when all is ASCII. */
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
