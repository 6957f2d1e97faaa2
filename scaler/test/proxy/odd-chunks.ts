/** Every byte there is. */
export const BYTES = Array.from({ length: 1024 }, (_, i) => String.fromCharCode(i % 256)).join('')

const SIZES = [1, 2, 3, 5, 7, 13, 127, 128, 129, 255, 354]

/** `BYTES` in chunks of odd sizes, some with extensions and leading zeros, without the last chunk. */
export function oddChunks(): string {
  let at = 0
  return SIZES.map((size) => {
    const extension = size % 2 ? ';name=value;other="quoted;\tvalue"' : ''
    const hex = size % 3 ? size.toString(16) : `000${size.toString(16).toUpperCase()}`
    const data = BYTES.slice(at, at + size)
    at += size
    return `${hex}${extension}\r\n${data}\r\n`
  }).join('')
}
