import { appendFile, copyFile, mkdir, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogLine } from '../runtime.ts'

/** A log that has grown beyond this is put aside at the next sweep; one older part is kept. */
const ROTATE_BYTES = 1024 * 1024
/** As much of the end as is ever shown. */
const TAIL_BYTES = 256 * 1024

/** What apps write to stdout and stderr: one file an app. */
export class AppLogs {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The file to write to. */
  async prepare(appId: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    return this.#path(appId)
  }

  /** A line of the platform's among those of the app. */
  async note(appId: string, text: string): Promise<void> {
    await appendFile(await this.prepare(appId), `[fp] ${text}\n`, { mode: 0o600 })
  }

  /**
   * Puts aside what has grown too large. Copied and emptied, since apps hold their log open; what one writes in
   * between is lost, which is less than what a full log loses.
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
      await copyFile(path, `${path}.1`)
      await truncate(path)
    }
  }

  async tail(appId: string, lines: number): Promise<LogLine[]> {
    const text = await readEnd(this.#path(appId))
    const kept = text.split('\n').slice(0, -1)
    if (kept.length >= lines) return kept.slice(-lines).map(toLine)
    const older = (await readEnd(`${this.#path(appId)}.1`)).split('\n').slice(0, -1)
    return [...older, ...kept].slice(-lines).map(toLine)
  }

  async remove(appId: string): Promise<void> {
    for (const path of [this.#path(appId), `${this.#path(appId)}.1`]) await rm(path, { force: true })
  }

  #path(appId: string): string {
    return join(this.#folder, `${appId}.log`)
  }
}

function toLine(text: string): LogLine {
  return { time: null, stream: 'output', instance: null, version: null, text }
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
