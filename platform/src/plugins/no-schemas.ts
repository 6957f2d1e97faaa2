import type { FastifyServerOptions } from 'fastify'

type SchemaController = NonNullable<FastifyServerOptions['schemaController']>

/** For an instance that uses no schemas, so that Fastify does not load its schema compilers. */
export const WITHOUT_SCHEMAS: SchemaController = {
  compilersFactory: {
    buildValidator: (() => () => () => true) as never,
    buildSerializer: () => () => (data) => JSON.stringify(data),
  },
}
