/** The size of one database. */
export interface DatabaseUsage {
  /** Bytes of documents in BSON and of indexes on disk. */
  readonly bytes: number
  /** Bytes of files on disk. These shrink long after data was deleted, if at all. */
  readonly diskBytes: number
  /** Number of collections and indexes: each is a file that MongoDB keeps open. */
  readonly files: number
  readonly measuredAt: Date
}

/** A full database takes writes again below this part of its limit, so that its state does not change with every document. */
const ROOM = 0.9
/** Files on disk may take this many times the limit. */
const DISK_FACTOR = 2
/** Limit for collections and indexes together. */
const MAX_FILES = 1_000

/** Which limit is reached; undefined: none. With `wasFull` the limits are lower, until there is room again. */
export function whatIsFull(
  usage: DatabaseUsage,
  limitBytes: number,
  wasFull: boolean,
): 'data' | 'disk' | 'files' | undefined {
  const part = wasFull ? ROOM : 1
  if (usage.bytes > part * limitBytes) return 'data'
  if (usage.files > part * MAX_FILES) return 'files'
  if (usage.diskBytes > part * DISK_FACTOR * limitBytes) return 'disk'
  return undefined
}

/** The message to the owner: what is wrong, what still works, what to do. */
export function fullText(usage: DatabaseUsage, limitBytes: number): string {
  const works = 'Writes are refused; reads and deletes work.'
  const raise = 'or ask the administrator to raise FP_DATABASE_MB'
  switch (whatIsFull(usage, limitBytes, true)) {
    case 'files':
      return `Your database is full: it has ${usage.files} collections and indexes, ${MAX_FILES} are allowed. ${works} Drop some, to below ${ROOM * MAX_FILES}.`
    case 'disk':
      return `Your database is full: its files take ${mb(usage.diskBytes)}, ${mb(DISK_FACTOR * limitBytes)} are allowed. ${works} Drop collections, wait some minutes after deleting documents, ${raise}.`
    default:
      return `Your database is full: ${mb(usage.bytes)} of ${mb(limitBytes)}. ${works} Delete documents, drop collections or indexes until it is below ${mb(ROOM * limitBytes)}, ${raise}.`
  }
}

export const roomText = 'Your database has room again: writes work.'

function mb(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`
}
