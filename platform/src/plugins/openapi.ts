import { ErrorBody } from '@fp/sdk/wire'
import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { bodyLimitOf } from './body-limits.ts'
import { WITHOUT_SCHEMAS } from './no-schemas.ts'

export interface OpenapiOptions {
  readonly publicUrl: string
  readonly cookieName: string
}

/**
 * OpenAPI 3.1 from the route schemas, at /api/openapi.json. Register it before the routes. The document is rarely requested,
 * so it is made at the first request, and only its text is kept.
 */
export const openapiPlugin = fp(
  async (app: FastifyInstance, options: OpenapiOptions) => {
    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => void (route.url.startsWith('/api/') && routes.push(route)))
    let document: Promise<Buffer> | undefined
    app.get(DOCUMENT, { config: { public: true }, schema: { hide: true } as object }, async (_, reply) => {
      document ??= describe(routes, options)
      // The next request tries again.
      document.catch(() => (document = undefined))
      return reply.type('application/json; charset=utf-8').send(await document)
    })
  },
  { name: 'openapi' },
)

/** @fastify/swagger keeps the documents of the instance that it is registered in, so it gets a temporary instance. */
async function describe(
  routes: readonly RouteOptions[],
  { publicUrl, cookieName }: OpenapiOptions,
): Promise<Buffer> {
  const { default: swagger } = await import('@fastify/swagger')
  const app = Fastify({ exposeHeadRoutes: false, schemaController: WITHOUT_SCHEMAS })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'fp',
        version: '1',
        description:
          'A self-hosted Cloud Run for Python APIs. Every error is `{code, message, details?, request_id}`.',
      },
      servers: [{ url: publicUrl }],
      security: [{ bearer: [] }, { cookie: [] }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'The `access_token` of a log-in.' },
          cookie: {
            type: 'apiKey',
            in: 'cookie',
            name: cookieName,
            description: 'Needs an own Origin on writes; the console adds `X-Fp-Session`.',
          },
        },
        schemas: { Error: withoutId(ErrorBody) },
      },
    },
    transform: ({ schema, url, route }) => {
      const described = (schema ?? {}) as Record<string, unknown>
      const response = {
        ...(described['response'] as object),
        default: { description: 'What went wrong', ...errorContent },
      }
      return {
        url,
        schema: {
          ...described,
          ...(described['body'] !== undefined && { 'x-body-limit': bodyLimitOf(route) }),
          response,
          ...(route.config?.public && { security: [] }),
        } as object,
      }
    },
  })
  for (const { method, url, schema, config, bodyLimit } of routes) {
    app.route({
      method,
      url,
      handler: async () => undefined,
      ...(schema && { schema }),
      ...(config && { config }),
      ...(bodyLimit !== undefined && { bodyLimit }),
    })
  }
  await app.ready()
  return Buffer.from(JSON.stringify(app.swagger()))
}

const DOCUMENT = '/api/openapi.json'
const errorContent = { content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } }

function withoutId(schema: object): object {
  const { $id: _, ...rest } = schema as { $id?: string }
  return rest
}
