export interface StampedLine {
  readonly stamp: string
  readonly text: string
}

const STAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/

/** Parses a line of a log as kubelet sends it. Undefined where it has no time: then kubelet wrote it, not the app. */
export function stamped(line: string): StampedLine | undefined {
  const space = line.indexOf(' ')
  const stamp = padded(space < 0 ? line : line.slice(0, space))
  return stamp === undefined ? undefined : { stamp, text: space < 0 ? '' : line.slice(space + 1) }
}

/** The time in UTC with all nine digits, so that texts compare as times do. */
export function padded(stamp: string): string | undefined {
  const [, time, fraction = '', zone] = STAMP.exec(stamp) ?? []
  const at = new Date(`${time}${zone}`)
  if (Number.isNaN(at.getTime())) return undefined
  return `${at.toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`
}
