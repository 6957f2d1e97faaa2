/** Values of one body: members and elements of all its objects and arrays. Far more than any route needs. */
export const MAX_VALUES = 1_000
/** Objects and arrays inside each other. */
export const MAX_DEPTH = 32

export type Excess = 'values' | 'depth'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/**
 * Whether JSON text has more values than a body may have, or is nested deeper, without parsing it: what parsing, checking and
 * reporting cost grows with both. One pass over the bytes; whether it is valid JSON, the parser says.
 */
export function excessOf(text: Uint8Array): Excess | undefined {
  let depth = 0
  let values = 0
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case QUOTE:
        i = endOfString(text, i + 1)
        break
      case COMMA:
        values++
        break
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        values++
        if (++depth > MAX_DEPTH) return 'depth'
        break
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        depth--
        break
    }
    if (values > MAX_VALUES) return 'values'
  }
  return undefined
}

/** The place of the closing quote; the end of the text where there is none. */
function endOfString(text: Uint8Array, from: number): number {
  for (let i = from; ;) {
    const end = text.indexOf(QUOTE, i)
    if (end < 0) return text.length
    let backslashes = 0
    while (end - 1 - backslashes >= from && text[end - 1 - backslashes] === BACKSLASH) backslashes++
    // Each backslash is counted once: a run of them before one quote begins after the quote before.
    if (backslashes % 2 === 0) return end
    i = end + 1
  }
}
