import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { JsonThread } from '../json/thread.ts'

/** Answers with up to this many characters of text are serialized on the event loop. */
const AT_ONCE = 64 * 1024

/**
 * Serializes large answers off the event loop: a megabyte of text takes 10 ms or more, as some characters become six. This
 * does not apply the answer's schema, which is safe because routes return exactly the fields of their answers.
 */
export const jsonAnswersPlugin = fp(
  async (app: FastifyInstance, { thread }: { thread: JsonThread }) => {
    app.addHook('preSerialization', async (_request, reply, payload) => {
      if (!isLarge(payload)) return payload
      const bytes = await thread.stringify(payload)
      reply.serializer((done: Buffer) => done as never)
      return bytes
    })
  },
  { name: 'json-answers' },
)

function isLarge(payload: unknown): boolean {
  let left = AT_ONCE
  const count = (value: unknown): void => {
    if (typeof value === 'string') left -= value.length
    else if (value !== null && typeof value === 'object')
      for (const [name, inner] of Object.entries(value)) {
        left -= name.length
        if (left < 0) return
        count(inner)
      }
  }
  count(payload)
  return left < 0
}
