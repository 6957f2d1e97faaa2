/** The lines of a stream of UTF-8. An app may write without ever ending a line: of each, no more than `max` characters are held. */
export async function* cutLines(chunks: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let line = ''
  for await (const chunk of chunks) {
    const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n')
    line += first.slice(0, max - line.length)
    for (const part of others) {
      yield line
      line = part.slice(0, max)
    }
  }
  if (line) yield line
}

export interface StampedLine {
  readonly stamp: string
  readonly text: string
}

const STAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/

/** A line of a log as kubelet gives it. Undefined where it has no stamp: then it is kubelet's own word, not the app's. */
export function stamped(line: string): StampedLine | undefined {
  const space = line.indexOf(' ')
  const stamp = padded(space < 0 ? line : line.slice(0, space))
  return stamp === undefined ? undefined : { stamp, text: space < 0 ? '' : line.slice(space + 1) }
}

/** In UTC, whatever the node's zone, and with all nine digits: as texts are compared. */
export function padded(stamp: string): string | undefined {
  const [, time, fraction = '', zone] = STAMP.exec(stamp) ?? []
  const at = new Date(`${time}${zone}`)
  if (Number.isNaN(at.getTime())) return undefined
  return `${at.toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`
}
