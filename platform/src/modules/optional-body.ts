import type { FastifyRequest } from 'fastify'

/** For routes all of whose fields are optional: `curl -X POST` without a body is as good as `{}`. */
export async function optionalBody(request: FastifyRequest): Promise<void> {
  request.body ??= {}
}
