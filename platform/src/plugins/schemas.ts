import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'
import { validatorCompiler } from './validator.ts'

type SchemaController = NonNullable<FastifyServerOptions['schemaController']>

/** Compiles a route's schemas at its first request, as most processes never use most of their routes. */
export const LAZY_SCHEMAS: SchemaController = {
  compilersFactory: {
    buildValidator: () => validatorCompiler as never,
    buildSerializer(schemas, options) {
      const compile = SerializerSelector()(schemas, options)
      return (route) => {
        let write: ReturnType<typeof compile> | undefined
        return (data) => (write ??= compile(route))(data)
      }
    },
  },
}
