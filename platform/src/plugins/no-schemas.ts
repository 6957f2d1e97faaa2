import type { FastifyServerOptions } from 'fastify'

type SchemaController = NonNullable<FastifyServerOptions['schemaController']>

/** For an instance that checks and writes nothing by schemas: Fastify does not load its compilers. */
export const WITHOUT_SCHEMAS: SchemaController = {
  compilersFactory: {
    buildValidator: (() => () => () => true) as never,
    buildSerializer: () => () => (data) => JSON.stringify(data),
  },
}
