import type { LogLine } from '../logs.ts'

/**
 * How the runner marks each line of an app (runner/src/fp_runner/log.py): U+001E, `o` or `e` for the stream, ms since 1970,
 * a space, the tag of the start request, a space. The app itself cannot print U+001E by Python's streams.
 */
const MARK = new RegExp(`${'\u001e'}([oe])(\\d{13}) (\\d+)\\.(\\S{1,64}) `)
/** How many parts `split` returns for each mark: its four groups and the text. */
const PARTS = 5

/** The tag of an instance: its id without the app, so that the tag begins with the version. */
export function logTag(appId: string, id: string): string {
  return id.slice(appId.length + 1)
}

/**
 * The lines of an app's log, without a last line that is incomplete. Lines that were not written by Python's streams (but by
 * a subprocess, a C library, an older version of the platform) have no mark. They get the time of the line before them.
 */
export function parseLog(appId: string, log: string): LogLine[] {
  const lines: LogLine[] = []
  let time: string | null = null
  for (const line of log.split('\n').slice(0, -1)) {
    const [unmarked = '', ...marked] = line.split(MARK)
    if (unmarked !== '' || marked.length === 0) {
      lines.push({ time, stream: 'output', instance: null, version: null, text: unmarked })
    }
    for (let at = 0; at < marked.length; at += PARTS) {
      const [stream, ms, version, rest, text = ''] = marked.slice(at, at + PARTS)
      time = new Date(Number(ms)).toISOString()
      lines.push({
        time,
        stream: stream === 'e' ? 'stderr' : 'stdout',
        instance: `${appId}.${version}.${rest}`,
        version: Number(version),
        text,
      })
    }
  }
  return lines
}

/** A line of the platform as it is stored. The platform's lines have a file of their own, which no app can write to. */
export function formatNote(time: Date, text: string): string {
  return `${JSON.stringify({ time: time.toISOString(), text })}\n`
}

export function parseNotes(file: string): LogLine[] {
  return file
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      const note = parseNote(line)
      return note ? [{ ...note, stream: 'platform', instance: null, version: null }] : []
    })
}

/** Undefined if the line is broken because the machine failed while it was written. */
function parseNote(line: string): Pick<LogLine, 'time' | 'text'> | undefined {
  try {
    const { time, text } = JSON.parse(line) as { time: string; text: string }
    return { time, text }
  } catch {
    return undefined
  }
}

/** Inserts each note before the first line that is later. The order of the app's lines does not change. */
export function mergeNotes(lines: readonly LogLine[], notes: readonly LogLine[]): LogLine[] {
  const merged: LogLine[] = []
  let next = 0
  for (const line of lines) {
    while (next < notes.length && line.time !== null && notes[next]!.time! < line.time) {
      merged.push(notes[next++]!)
    }
    merged.push(line)
  }
  return [...merged, ...notes.slice(next)]
}
