import { defineModule } from '../module.ts'
import { loadTemplates } from './load.ts'
import { registerTemplateRoutes } from './routes.ts'
import { createTemplateService } from './service.ts'

export const templatesModule = defineModule({
  name: 'templates',
  async start({ settings, log }) {
    const templates = createTemplateService(await loadTemplates(settings.examplesDir, log))
    return { service: templates, routes: (api) => registerTemplateRoutes(api, { templates }) }
  },
})
