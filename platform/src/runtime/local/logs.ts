import { appendFile, copyFile, mkdir, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { MIB } from '../limits.ts'
import type { LogLine } from '../logs.ts'
import { formatNote, mergeNotes, parseLog, parseNotes } from './log-format.ts'

/** A log that is larger than this is rotated at the next sweep. One older part is kept. */
const ROTATE_BYTES = MIB
/** How many bytes at the end of a file are read at most. */
const TAIL_BYTES = 256 * 1024

/** Logs of apps. Each app has a file that its processes write, and one with the platform's own lines. */
export class AppLogs {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The file for an app's processes to write to. */
  async prepare(appId: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    return this.#path(appId)
  }

  /** Adds a line of the platform. */
  async note(appId: string, text: string): Promise<void> {
    await this.prepare(appId)
    await appendFile(this.#notesPath(appId), formatNote(new Date(), text), { mode: 0o600 })
  }

  /**
   * Rotates files that have grown too large. They are copied and emptied, as apps keep their log open. Lines that an app writes
   * in between are lost, which are fewer than those that a full log loses.
   */
  async sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    for (const name of names.filter((found) => found.endsWith('.log'))) {
      const path = join(this.#folder, name)
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      )
      if (size <= ROTATE_BYTES) continue
      await copyFile(path, rotated(path))
      await truncate(path)
    }
  }

  /** The newest lines, oldest first. */
  async tail(appId: string, lines: number): Promise<LogLine[]> {
    const [log, notes] = await Promise.all([
      readTail(this.#path(appId), lines),
      readTail(this.#notesPath(appId), lines),
    ])
    return mergeNotes(parseLog(appId, log), parseNotes(notes)).slice(-lines)
  }

  async remove(appId: string): Promise<void> {
    for (const path of [this.#path(appId), this.#notesPath(appId)]) {
      await Promise.all([path, rotated(path)].map((file) => rm(file, { force: true })))
    }
  }

  #path(appId: string): string {
    return join(this.#folder, `${appId}.log`)
  }

  #notesPath(appId: string): string {
    return join(this.#folder, `${appId}.platform.log`)
  }
}

function rotated(path: string): string {
  return `${path}.1`
}

/** The end of a log. If it has fewer lines than wanted, it begins with the end of the older part. */
async function readTail(path: string, lines: number): Promise<string> {
  const newest = await readEnd(path)
  if (newest.split('\n').length > lines) return newest
  return (await readEnd(rotated(path))) + newest
}

/** The last TAIL_BYTES, from the first whole line on. Empty when there is no such file. */
async function readEnd(path: string): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return ''
  try {
    const { size } = await file.stat()
    const start = Math.max(0, size - TAIL_BYTES)
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - start), position: start })
    const text = buffer.subarray(0, bytesRead).toString('utf8')
    return start > 0 ? text.slice(text.indexOf('\n') + 1) : text
  } finally {
    await file.close()
  }
}
