import { Type } from 'typebox'

/** Path parameters. Any text is accepted, so that an id that never existed gets the same answer as another user's. */
export const AppParams = Type.Object({ app_id: Type.String({ maxLength: 100 }) })
export const DeploymentParams = Type.Object({
  app_id: Type.String({ maxLength: 100 }),
  deployment_id: Type.String({ maxLength: 100 }),
})
export const VersionParams = Type.Object({
  app_id: Type.String({ maxLength: 100 }),
  version: Type.Integer({ minimum: 1 }),
})
export const TemplateParams = Type.Object({ template_id: Type.String({ maxLength: 100 }) })

/** The value of a route's `*`, e.g. the path of an asset. It is not in the schema, as TypeBox treats the name as a pattern. */
export function rest(params: object): string {
  return (params as { '*': string })['*']
}
