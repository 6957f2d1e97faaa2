import swagger from '@fastify/swagger'
import { ErrorBody } from '@fp/sdk/wire'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { bodyLimitOf } from './body-limits.ts'

export interface OpenapiOptions {
  readonly publicUrl: string
  readonly cookieName: string
}

/** OpenAPI 3.1 from the route schemas, at /api/openapi.json. Register before the routes. */
export const openapiPlugin = fp(
  async (app: FastifyInstance, options: OpenapiOptions) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'fp',
          version: '1',
          description:
            'A self-hosted Cloud Run for Python APIs. Every error is `{code, message, details?, request_id}`.',
        },
        servers: [{ url: options.publicUrl }],
        security: [{ bearer: [] }, { cookie: [] }],
        components: {
          securitySchemes: {
            bearer: { type: 'http', scheme: 'bearer', description: 'The `access_token` of a log-in.' },
            cookie: {
              type: 'apiKey',
              in: 'cookie',
              name: options.cookieName,
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
            hide: described['hide'] ?? !url.startsWith('/api/'),
          } as object,
        }
      },
    })
    app.get('/api/openapi.json', { config: { public: true }, schema: { hide: true } as object }, async () =>
      app.swagger(),
    )
  },
  { name: 'openapi' },
)

const errorContent = { content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } }

function withoutId(schema: object): object {
  const { $id: _, ...rest } = schema as { $id?: string }
  return rest
}
