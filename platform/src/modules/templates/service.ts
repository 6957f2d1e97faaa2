import { createHash } from 'node:crypto'
import { mediaType, type Asset, type Template, type TemplateDetail } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { LoadedTemplate, Starter } from './types.ts'

/** The template for an app that is created without one. */
const STARTER = 'hello-api'

/** The files of that app on a platform without examples. */
const MINIMAL: Starter = {
  assets: [],
  files: {
    'app.py': `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return {"message": "Hello!"}
`,
  },
}

export interface TemplateService {
  list(): Template[]
  /** Throws FP_TEMPLATE_NOT_FOUND. */
  get(templateId: string): TemplateDetail
  /** The contents of the template; of the default one when `templateId` is undefined. */
  contents(templateId: string | undefined): Starter
}

export function createTemplateService(templates: readonly LoadedTemplate[]): TemplateService {
  const byId = new Map(templates.map((template) => [template.template_id, template]))

  function find(templateId: string): LoadedTemplate {
    const template = byId.get(templateId)
    if (template) return template
    throw new FpError(
      'FP_TEMPLATE_NOT_FOUND',
      `There is no template ${JSON.stringify(templateId.slice(0, 100))}. GET /api/templates lists them.`,
    )
  }

  return {
    list: () => templates.map(({ files: _files, assets: _assets, ...template }) => template),
    get(templateId) {
      const { assets, ...template } = find(templateId)
      return { ...template, assets: assets.map(describe) }
    },
    contents: (templateId) => (templateId === undefined ? (byId.get(STARTER) ?? MINIMAL) : find(templateId)),
  }
}

function describe({ path, content }: LoadedTemplate['assets'][number]): Asset {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { path, bytes: content.length, type: mediaType(path), sha256 }
}
