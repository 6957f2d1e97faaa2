import type { FastifyRequest } from 'fastify'

/** For routes whose body has only optional fields: a request without a body is handled as if its body were `{}`. */
export async function optionalBody(request: FastifyRequest): Promise<void> {
  request.body ??= {}
}
