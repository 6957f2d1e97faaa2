import type { ProxyAnswer } from '@fp/sdk/wire'
import type { AppAnswer } from '../../gate/gate.ts'

/** How much of an answer's body is shown, in bytes. */
export const MAX_SHOWN_BODY = 1024 * 1024

/** The answer as JSON can carry it: at most 1 MB of the body, as text or in base64. */
export async function shownAnswer(
  answer: AppAnswer,
): Promise<Omit<ProxyAnswer, 'latency_ms' | 'cold_start'>> {
  const { bytes, truncated } = await readUpTo(answer.body, MAX_SHOWN_BODY)
  return {
    status_code: answer.status,
    headers: { ...answer.headers },
    ...shownBody(bytes, answer.headers['content-type'] ?? '', truncated),
    body_truncated: truncated,
  }
}

/** The encoding that a content type names, or UTF-8 if it names none. */
export function charsetOf(contentType: string): string {
  return /;\s*charset="?([^\s;"]+)/i.exec(contentType)?.[1] ?? 'utf-8'
}

/** The body as text where it is text, in base64 elsewhere. */
function shownBody(
  bytes: Buffer,
  contentType: string,
  truncated: boolean,
): Pick<ProxyAnswer, 'body' | 'body_encoding'> {
  try {
    const decoder = new TextDecoder(charsetOf(contentType), { fatal: true, ignoreBOM: true })
    // A truncated body may end in the middle of a character.
    const body = decoder.decode(bytes, { stream: truncated })
    if (!body.includes('\0')) return { body, body_encoding: 'text' }
  } catch {
    // The encoding is unknown, or the bytes are not valid in it.
  }
  return { body: bytes.toString('base64'), body_encoding: 'base64' }
}

/** Reads at most `limit` bytes. Stops reading a longer body, which closes its stream. */
async function readUpTo(
  body: AsyncIterable<Buffer>,
  limit: number,
): Promise<{ bytes: Buffer; truncated: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) return { bytes: Buffer.concat(chunks).subarray(0, limit), truncated: true }
  }
  return { bytes: Buffer.concat(chunks), truncated: false }
}
