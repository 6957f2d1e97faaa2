import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { invalidFields } from './validator.ts'

/** The only place where errors become answers. Requests without a route are answered by the console plugin. */
export const errorsPlugin = fp(
  async (app: FastifyInstance) => {
    app.setErrorHandler(async (error: unknown, request, reply) => {
      const known = toFpError(error, request)
      // Requests that were refused on purpose are only in the request's log line: a flood of stack traces would fill the log.
      if (known.statusCode >= 500 && (known !== error || known.code === 'FP_INTERNAL'))
        request.log.error({ err: error }, 'request failed')
      return sendError(request, reply, known)
    })
  },
  { name: 'errors' },
)

export function sendError(request: FastifyRequest, reply: FastifyReply, error: FpError): FastifyReply {
  return reply
    .code(error.statusCode)
    .headers(error.headers)
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send({ code: error.code, message: error.message, details: error.details, request_id: request.id })
}

export function notFound(request: FastifyRequest): FpError {
  const [path = ''] = request.url.split('?', 1)
  const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path
  return new FpError(
    'FP_NOT_FOUND',
    `There is no ${request.method} ${shown}. See /api/openapi.json for what there is.`,
  )
}

function toFpError(error: unknown, request: FastifyRequest): FpError {
  if (error instanceof FpError) return error
  const { code, statusCode, validation, validationContext } = (error ?? {}) as Partial<FastifyError>
  if (validation) return invalidFields(validation, validationContext)
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new FpError(
        'FP_BODY_TOO_LARGE',
        `The body is too large: ${request.routeOptions.bodyLimit ?? 0} bytes are allowed here.`,
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new FpError(
        'FP_UNSUPPORTED_MEDIA_TYPE',
        'Send JSON, with the header `Content-Type: application/json`.',
      )
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new FpError('FP_INVALID_JSON', 'The body is empty, but the header Content-Type announces JSON.')
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return invalidJson()
  }
  if (error instanceof SyntaxError && statusCode === 400) return invalidJson()
  if (/^Mongo(ServerSelection|Network|NotConnected|OperationTimeout)/.test((error as Error)?.name ?? '')) {
    return new FpError('FP_UNAVAILABLE', 'The database does not answer. Try again in a few seconds.', {
      headers: { 'retry-after': '2' },
      cause: error,
    })
  }
  // Other client errors come from the framework, never from the platform's own code.
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new FpError('FP_BAD_REQUEST', (error as Error).message)
  }
  return new FpError(
    'FP_INTERNAL',
    `Something went wrong on our side. The platform's log has the reason under request id ${request.id}.`,
    { cause: error },
  )
}

function invalidJson(): FpError {
  return new FpError('FP_INVALID_JSON', 'The body is not valid JSON. Send one JSON object, encoded in UTF-8.')
}
