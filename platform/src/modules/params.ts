import { Type } from 'typebox'

/** Path parameters. Any text is taken: what names nothing is answered like what is not yours. */
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

/** What a route's `*` stands for, such as the path of an asset. Not part of its schema: TypeBox takes the name for a pattern. */
export function rest(params: object): string {
  return (params as { '*': string })['*']
}
