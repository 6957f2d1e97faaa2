import type { Files, Template, TemplateDetail } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { LoadedTemplate } from './load.ts'

/** What an app starts from that was given nothing. */
const STARTER = 'hello-api'

/** For a platform without examples. */
const MINIMAL: Files = {
  'app.py': `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return {"message": "Hello!"}
`,
}

export interface TemplateService {
  list(): Template[]
  /** Throws FP_TEMPLATE_NOT_FOUND. */
  get(templateId: string): TemplateDetail
  /** Of the template, or of the one that apps start from. */
  files(templateId: string | undefined): Files
}

export function createTemplateService(templates: readonly LoadedTemplate[]): TemplateService {
  const byId = new Map(templates.map((template) => [template.template_id, template]))

  function get(templateId: string): LoadedTemplate {
    const template = byId.get(templateId)
    if (template) return template
    throw new FpError(
      'FP_TEMPLATE_NOT_FOUND',
      `There is no template ${JSON.stringify(templateId.slice(0, 100))}. GET /api/templates lists them.`,
    )
  }

  return {
    list: () => templates.map(({ files: _, ...template }) => template),
    get,
    files: (templateId) =>
      templateId === undefined ? (byId.get(STARTER)?.files ?? MINIMAL) : get(templateId).files,
  }
}
