import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** A request to an app, under uvicorn alone and behind the platform. */
export interface Ask {
  /** An HTTP method, or WS: connect, send `text`, read one message. */
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** At most one of these. */
  readonly text?: string
  readonly json?: unknown
  readonly form?: string
  /** Name → value; `file` is sent as a file. */
  readonly multipart?: Readonly<Record<string, string>>
  /** Headers of the answer that must be the same, besides Content-Type and Content-Length. */
  readonly compare?: readonly string[]
}

export interface Case {
  readonly name: string
  readonly dir: string
  readonly files: Readonly<Record<string, string>>
  /** The arguments with which uvicorn serves it. */
  readonly uvicorn: string
  /** The entrypoint that the owner has to set. Absent if the platform finds it. */
  readonly entrypoint?: string
  readonly requests: readonly Ask[]
}

const APPS = join(import.meta.dirname, 'apps')
const ABOUT = 'case.json'

/** One app per folder. `case.json` has uvicorn's arguments and the requests. */
export const cases: readonly Case[] = readdirSync(APPS).map((name) => {
  const dir = join(APPS, name)
  const about = JSON.parse(readFileSync(join(dir, ABOUT), 'utf8')) as Omit<Case, 'name' | 'dir' | 'files'>
  return { ...about, name, dir, files: filesOf(dir) }
})

function filesOf(dir: string): Record<string, string> {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    entries
      .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .filter((path) => path !== ABOUT && !path.includes('__pycache__'))
      .map((path) => [path, readFileSync(join(dir, path), 'utf8')]),
  )
}
