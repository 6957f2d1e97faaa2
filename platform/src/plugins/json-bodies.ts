import { Transform, type Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest, RequestPayload } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { whenClosed } from '../front/when-closed.ts'
import { MAX_DEPTH, MAX_VALUES } from '../json/bounds.ts'
import { parseBody, type Parsed } from '../json/parse.ts'
import type { JsonThread } from '../json/thread.ts'
import { bodyLimitOf } from './body-limits.ts'
import { BodyRoom, type BodyPlace } from './body-room.ts'

/** Bodies of up to this many bytes are parsed on the event loop, in less than a millisecond. */
const AT_ONCE = 32 * 1024

/** Parses JSON bodies, the large ones off the event loop. Limits how many bytes of large bodies a user may send at once. */
export const jsonBodiesPlugin = fp(
  async (app: FastifyInstance, { thread }: { thread: JsonThread }) => {
    const room = new BodyRoom()

    app.addHook('preParsing', async (request, reply, payload) => {
      const bytes = announced(request)
      if (bytes <= AT_ONCE) return payload
      const place = room.open(request.foundSession?.user.userId ?? request.ip, bytes)
      whenClosed(reply.raw, () => place.release())
      return counted(payload, place)
    })

    app.removeContentTypeParser('application/json')
    app.addContentTypeParser(
      'application/json',
      { parseAs: 'buffer' },
      async (_request: FastifyRequest, body: Buffer) => {
        if (body.length === 0) {
          throw new FpError(
            'FP_INVALID_JSON',
            'The body is empty, but the header Content-Type announces JSON.',
          )
        }
        return valueOf(body.length > AT_ONCE ? await thread.parse(body) : parseBody(body))
      },
    )
  },
  { name: 'json-bodies', dependencies: ['auth'] },
)

/** The size of the body. The size of a chunked body is not known, so it counts as the route's limit. */
function announced({ headers, routeOptions }: FastifyRequest): number {
  if (headers['transfer-encoding'] !== undefined) return bodyLimitOf(routeOptions)
  return Math.min(Number(headers['content-length'] ?? 0), bodyLimitOf(routeOptions))
}

/** The body, whose bytes take room as they arrive. */
function counted(body: RequestPayload, place: BodyPlace): Readable {
  const out = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        place.add(chunk.length)
        done(null, chunk)
      } catch (error) {
        done(error as Error)
      }
    },
  })
  // Fastify does not listen any more once it has refused a body.
  out.on('error', () => undefined)
  body.once('error', (error) => out.destroy(error))
  return body.pipe(out)
}

function valueOf(parsed: Parsed): unknown {
  if (parsed.ok) return parsed.value
  switch (parsed.reason) {
    case 'values':
      throw new FpError(
        'FP_BODY_TOO_COMPLEX',
        `The body holds more than ${MAX_VALUES} values. No request needs so many: send fewer files, variables or fields.`,
        { details: { limit: MAX_VALUES } },
      )
    case 'depth':
      throw new FpError(
        'FP_BODY_TOO_COMPLEX',
        `The body has objects or arrays nested more than ${MAX_DEPTH} deep. Nothing here takes more than a few levels.`,
        { details: { limit: MAX_DEPTH } },
      )
    case 'prototype':
    case 'invalid':
      throw new FpError(
        'FP_INVALID_JSON',
        'The body is not valid JSON. Send one JSON object, encoded in UTF-8.',
      )
  }
}
