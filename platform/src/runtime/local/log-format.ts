import type { LogLine } from '../runtime.ts'

/**
 * How the runner marks each line of an app (runner/src/fp_runner/log.py): U+001E, `o` or `e` for the stream, ms since 1970,
 * a space, the tag of the start request, a space. The app itself cannot print U+001E by Python's streams.
 */
const MARK = new RegExp(`${'\u001e'}([oe])(\\d{13}) (\\d+)\\.(\\S{1,64}) `)
/** What `split` by the mark gives for each of its places: four groups and the text. */
const PARTS = 5

/** The tag of an instance: its id without the app, so the version comes first. */
export function logTag(appId: string, id: string): string {
  return id.slice(appId.length + 1)
}

/**
 * The lines of an app's log, without one that has no end yet. What Python's streams have not written (a subprocess, a C
 * library, an older version of the platform) has no mark: such a line has the time of the line before it.
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

/** A line of the platform, as it is kept in a file of its own, which no app can write to. */
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

/** Undefined where the machine failed while the line was written. */
function parseNote(line: string): Pick<LogLine, 'time' | 'text'> | undefined {
  try {
    const { time, text } = JSON.parse(line) as { time: string; text: string }
    return { time, text }
  } catch {
    return undefined
  }
}

/** Puts notes between the lines of an app, whose order stays: each before the first line that is later. */
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
