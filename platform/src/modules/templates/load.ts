import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { FILE_LIMITS, type Files } from '@fp/sdk/wire'
import type { Log } from '../../logger.ts'
import type { LoadedTemplate, Starter } from './types.ts'
import { checkAssetPath, checkAssetSize } from '../drafts/assets.ts'
import { checkFiles, toRecord } from '../drafts/files.ts'

const ABOUT = 'template.json'

/** Reads the examples: a folder with a `template.json` is a template. An invalid one is skipped and logged. */
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
      if (about) loaded.push(toTemplate(entry.name, about, await readContents(path.join(dir, entry.name))))
    } catch (error) {
      log.warn({ err: error, example: entry.name }, 'an example is invalid and is skipped')
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
  contents: Starter,
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
      ...contents,
    },
  }
}

/** Hidden files, caches and compiled Python are not part of the app. */
const LEFT_OUT = /(^|\/)(\.|__pycache__\/)|\.pyc$/

/** Reads files with a text extension as files and all others as assets. */
async function readContents(dir: string): Promise<Starter> {
  const files: Files = {}
  const assets: { path: string; content: Buffer }[] = []
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath, entry.name)
    const name = path.relative(dir, file).split(path.sep).join('/')
    if (!entry.isFile() || name === ABOUT || LEFT_OUT.test(name)) continue
    if ((FILE_LIMITS.extensions as readonly string[]).includes(path.extname(name))) {
      files[name] = await readFile(file, 'utf8')
      continue
    }
    const content = await readFile(file)
    checkAssetPath(name)
    checkAssetSize(name, content.length)
    assets.push({ path: name, content })
  }
  return { files: toRecord(checkFiles(files)), assets }
}
