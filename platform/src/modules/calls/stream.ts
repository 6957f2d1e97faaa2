import type { CallStreamEvent } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { AppAnswer } from '../../gate/gate.ts'
import { charsetOf, MAX_SHOWN_BODY } from './shown.ts'

/** Types whose bodies are shown as text. */
const TEXT = /^(?:text\/|application\/(?:[\w.-]+\+)?(?:json|xml|x-ndjson|javascript|x-www-form-urlencoded))/i

/**
 * The answer as it arrives: its head, each piece of the body, and its end. At most 1 MB of the body is shown. If the call
 * fails after the head, an `error` event is the last one.
 */
export async function* streamAnswer(
  answer: AppAnswer,
  elapsed: () => number,
): AsyncGenerator<CallStreamEvent> {
  yield {
    event: 'head',
    status_code: answer.status,
    headers: { ...answer.headers },
    cold_start: answer.coldStart,
    latency_ms: elapsed(),
  }
  const decode = decoderOf(answer.headers['content-type'] ?? '')
  let bytes = 0
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      const room = MAX_SHOWN_BODY - bytes
      const piece = chunk.subarray(0, room)
      bytes += piece.length
      const data = decode(piece, false)
      if (data.body !== '') yield { event: 'body', ...data }
      if (chunk.length > room) {
        yield { event: 'end', body_truncated: true, latency_ms: elapsed() }
        return
      }
    }
    const rest = decode(Buffer.alloc(0), true)
    if (rest.body !== '') yield { event: 'body', ...rest }
    yield { event: 'end', body_truncated: false, latency_ms: elapsed() }
  } catch (error) {
    if (!(error instanceof FpError)) throw error
    yield { event: 'error', code: error.code, message: error.message }
  } finally {
    answer.body.destroy()
  }
}

type Piece = { readonly body: string; readonly body_encoding: 'text' | 'base64' }

/** In text, a character that arrives in two pieces is part of the second. */
function decoderOf(contentType: string): (bytes: Buffer, last: boolean) => Piece {
  const text = TEXT.test(contentType) ? textDecoder(contentType) : undefined
  return (bytes, last) =>
    text
      ? { body: text.decode(bytes, { stream: !last }), body_encoding: 'text' }
      : { body: bytes.toString('base64'), body_encoding: 'base64' }
}

function textDecoder(contentType: string): InstanceType<typeof TextDecoder> | undefined {
  try {
    return new TextDecoder(charsetOf(contentType), { ignoreBOM: true })
  } catch {
    // The encoding is unknown.
    return undefined
  }
}
