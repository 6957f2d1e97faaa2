import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { FpError } from '../errors.ts'
import { whenClosed } from '../front/when-closed.ts'
import { MAX_DEPTH, MAX_VALUES } from '../json/bounds.ts'
import { parseBody, type Parsed } from '../json/parse.ts'
import type { JsonThread } from '../json/thread.ts'
import { bodyLimitOf } from './body-limits.ts'

/** Bodies of up to this many bytes are parsed on the event loop, in less than a millisecond. */
const AT_ONCE = 32 * 1024
/** Limits for the bytes of larger bodies that are being received or parsed: of one user, and of all. */
const OF_ONE_USER = 8 * 1024 * 1024
const OF_ALL = 64 * 1024 * 1024

/** Parses JSON bodies, the large ones off the event loop. Limits how many bytes of large bodies a user may send at once. */
export const jsonBodiesPlugin = fp(
  async (app: FastifyInstance, { thread }: { thread: JsonThread }) => {
    const room = createRoom()

    app.addHook('preParsing', async (request, reply) => {
      const bytes = announced(request)
      if (bytes <= AT_ONCE) return
      const release = room.take(request.foundSession?.user.userId ?? request.ip, bytes)
      whenClosed(reply.raw, release)
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

/** Counts the bytes of bodies that are being received or parsed. */
function createRoom(): { take(user: string, bytes: number): () => void } {
  const taken = new Map<string, number>()
  let all = 0
  return {
    take(user, bytes) {
      const own = taken.get(user) ?? 0
      if (own + bytes > OF_ONE_USER) throw full('You are')
      if (all + bytes > OF_ALL) throw full('Others are')
      taken.set(user, own + bytes)
      all += bytes
      return () => {
        all -= bytes
        const left = taken.get(user)! - bytes
        if (left > 0) taken.set(user, left)
        else taken.delete(user)
      }
    },
  }
}

function full(who: string): FpError {
  return new FpError(
    'FP_UNAVAILABLE',
    `${who} sending so many large requests at once that there is no room for this one. Send it again in a second.`,
    { headers: { 'retry-after': '1' } },
  )
}
