import { Page, Template, TemplateDetail } from '@fp/sdk/wire'
import type { Api } from '../../api/api.ts'
import { TemplateParams } from '../params.ts'
import type { TemplateService } from './service.ts'

const tags = ['templates']

export function registerTemplateRoutes(app: Api, deps: { templates: TemplateService }): void {
  const { templates } = deps

  app.get(
    '/api/templates',
    {
      schema: {
        tags,
        operationId: 'listTemplates',
        summary: 'What an app can start from',
        response: { 200: Page(Template) },
      },
    },
    async () => ({ items: templates.list(), next_cursor: null }),
  )

  app.get(
    '/api/templates/:template_id',
    {
      schema: {
        tags,
        operationId: 'getTemplate',
        summary: 'A template with its files',
        params: TemplateParams,
        response: { 200: TemplateDetail },
      },
    },
    async (request) => templates.get(request.params.template_id),
  )
}
