import { FpError } from '../errors.ts'

export const DEFAULT_PAGE = 50

/** A requested page: at most `limit` items whose number is below `before`. */
export interface PageRequest {
  readonly limit: number
  readonly before: number | undefined
}

/**
 * Lists are ordered by a number that only grows (an app's sequence, a version, a deployment's order), newest first. A cursor
 * is the last number seen, so it stays valid while items are added and removed. It names its `list`, so that it is refused
 * in any other list.
 */
export function pageRequest(list: string, query: { limit?: number; cursor?: string }): PageRequest {
  return {
    limit: query.limit ?? DEFAULT_PAGE,
    before: query.cursor === undefined ? undefined : readCursor(list, query.cursor),
  }
}

/** `found` has one item more than the limit when there is a next page. */
export function toPage<T, W>(
  list: string,
  request: PageRequest,
  found: readonly T[],
  number: (item: T) => number,
  wire: (item: T) => W,
): { items: W[]; next_cursor: string | null } {
  const items = found.slice(0, request.limit)
  const last = items.at(-1)
  const more = found.length > request.limit && last !== undefined
  return { items: items.map(wire), next_cursor: more ? writeCursor(list, number(last)) : null }
}

function writeCursor(list: string, number: number): string {
  return Buffer.from(`${list}:${number}`).toString('base64url')
}

function readCursor(list: string, cursor: string): number {
  const text = Buffer.from(cursor, 'base64url').toString('utf8')
  const number = Number(text.slice(list.length + 1))
  if (!Number.isSafeInteger(number) || writeCursor(list, number) !== cursor) {
    throw new FpError(
      'FP_INVALID_CURSOR',
      'The cursor is not one this list gave. Leave it out to start at the first page.',
    )
  }
  return number
}
