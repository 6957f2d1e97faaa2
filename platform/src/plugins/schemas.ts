import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'
import { validatorCompiler } from './validator.ts'

type SchemaController = NonNullable<FastifyServerOptions['schemaController']>

/** What a route's schemas check and write is compiled with its first request: most processes never meet most of their routes. */
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
