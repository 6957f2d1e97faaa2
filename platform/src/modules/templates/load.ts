import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { FILE_LIMITS, type Files, type Template } from '@fp/sdk/wire'
import type { Log } from '../background.ts'
import { checkFiles, toRecord } from '../drafts/files.ts'

export type LoadedTemplate = Template & { readonly files: Files }

const ABOUT = 'template.json'

/** Reads the examples: a folder with a `template.json` is a template. One that is not in order is left out and logged. */
export async function loadTemplates(dir: string, log: Log): Promise<LoadedTemplate[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
    log.warn({ err: error, dir }, 'there is no folder of examples; the platform has no templates')
    return []
  })
  const loaded: { order: number; template: LoadedTemplate }[] = []
  for (const entry of entries) {
    if (!entry.isDirectory()) continue
    try {
      const about = await readAbout(path.join(dir, entry.name))
      if (about) loaded.push(toTemplate(entry.name, about, await readFiles(path.join(dir, entry.name))))
    } catch (error) {
      log.warn({ err: error, example: entry.name }, 'an example is not in order and is left out')
    }
  }
  loaded.sort((a, b) => a.order - b.order || a.template.template_id.localeCompare(b.template.template_id))
  return loaded.map(({ template }) => template)
}

async function readAbout(dir: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(path.join(dir, ABOUT), 'utf8')) as Record<string, unknown>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function toTemplate(
  folder: string,
  about: Record<string, unknown>,
  files: Files,
): { order: number; template: LoadedTemplate } {
  const text = (key: string, fallback?: string): string => {
    const value = about[key] ?? fallback
    if (typeof value !== 'string') throw new Error(`${ABOUT}: ${key} must be a text`)
    return value
  }
  const tags = about['tags'] ?? []
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    throw new Error(`${ABOUT}: tags must be a list of texts`)
  }
  return {
    order: typeof about['order'] === 'number' ? about['order'] : Infinity,
    template: {
      template_id: text('id', folder),
      name: text('name'),
      description: text('description'),
      tags,
      uses_database: about['uses_database'] === true,
      try_path: text('try_path', '/'),
      files,
    },
  }
}

/** What an app may hold; other files of an example (caches, pictures) are not part of its template. */
async function readFiles(dir: string): Promise<Files> {
  const files: Files = {}
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath, entry.name)
    const name = path.relative(dir, file).split(path.sep).join('/')
    const allowed = (FILE_LIMITS.extensions as readonly string[]).includes(path.extname(name))
    if (entry.isFile() && allowed && name !== ABOUT && !/(^|\/)(\.|__pycache__\/)/.test(name)) {
      files[name] = await readFile(file, 'utf8')
    }
  }
  return toRecord(checkFiles(files))
}
