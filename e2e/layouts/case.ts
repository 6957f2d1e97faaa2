import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

/** What an app is asked, under uvicorn alone and behind the platform. */
export interface Ask {
  /** A method of HTTP, or WS: connect, send `text`, read one message. */
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** One of them at most. */
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
  /** What its owner has to set; without it the platform finds out. */
  readonly entrypoint?: string
  readonly requests: readonly Ask[]
}

const APPS = join(import.meta.dirname, 'apps')
const ABOUT = 'case.json'

/** One app a folder; `case.json` says how uvicorn serves it and what it is asked. */
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
