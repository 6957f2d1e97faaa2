/** Limit for the values of one body: members and elements of all objects and arrays. Far more than any route needs. */
export const MAX_VALUES = 1_000
/** Limit for the nesting of objects and arrays. */
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
 * Whether JSON text has too many values or is nested too deeply. The cost of parsing, checking and reporting grows with both,
 * so this does not parse the text but makes one pass over its bytes. Whether the JSON is valid is left to the parser.
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

/** The position of the closing quote, or the end of the text if there is none. */
function endOfString(text: Uint8Array, from: number): number {
  for (let i = from; ;) {
    const end = text.indexOf(QUOTE, i)
    if (end < 0) return text.length
    let backslashes = 0
    while (end - 1 - backslashes >= from && text[end - 1 - backslashes] === BACKSLASH) backslashes++
    // Each backslash is counted only once, as the backslashes before one quote begin after the quote before.
    if (backslashes % 2 === 0) return end
    i = end + 1
  }
}
