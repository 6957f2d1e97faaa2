import { readMessage, type HeaderLine, type Message } from '../../scaler/test/proxy/message.ts'
import { Wire } from '../../scaler/test/proxy/wire.ts'

/** What the platform adds to an answer, and what each end says of its own connection. See docs/http.md. */
const ADDED_TO_ANSWERS = new Set(['x-request-id', 'x-fp-wake', 'server-timing'])
const OF_CONNECTION = new Set(['connection', 'keep-alive'])

/** What the platform adds to a request. */
const ADDED_TO_REQUESTS = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-request-id',
])

/** An answer without what is meant to differ. Bytes are characters of latin-1. */
export interface Seen {
  readonly start: string
  readonly headers: readonly HeaderLine[]
  readonly framing: Message['framing']
  readonly body: unknown
}

export interface ScopeSeen {
  readonly client: readonly [string, number]
  readonly server: readonly [string, number]
  readonly headers: readonly (readonly [string, string])[]
}

/** Sends these bytes on one connection and reads `answers` messages. */
export async function exchange(
  port: number,
  bytes: string,
  options: { answers?: number; noBody?: boolean } = {},
): Promise<{ seen: Seen[]; scopes: ScopeSeen[]; localPort: number }> {
  const wire = await Wire.to(port)
  const localPort = wire.socket.localPort!
  const seen: Seen[] = []
  const scopes: ScopeSeen[] = []
  try {
    wire.send(bytes)
    for (let i = 0; i < (options.answers ?? 1); i++) {
      const message = await readMessage(wire, { noBody: options.noBody ?? false })
      const scope = scopeIn(message)
      if (scope) scopes.push(scope)
      seen.push(withoutIntended(message))
    }
    return { seen, scopes, localPort }
  } finally {
    wire.close()
  }
}

export function withoutIntended({ start, headers, framing, body }: Message): Seen {
  const kept = headers
    .filter(([name]) => !ADDED_TO_ANSWERS.has(name.toLowerCase()) && !OF_CONNECTION.has(name.toLowerCase()))
    // uvicorn names itself, fp does not; a Server header of the app's own passes.
    .filter(([name, value]) => name !== 'server' || value !== 'uvicorn')
    .map(([name, value]): HeaderLine => [name, name.toLowerCase() === 'date' ? dateOf(value) : value])
  const scope = scopeIn({ start, headers, framing, body, trailers: [] })
  if (!scope) return { start, headers: kept, framing, body }
  // Where the server was reached is compared by itself, and the length of the text with it.
  const given = scope.headers.filter(([name]) => !ADDED_TO_REQUESTS.has(Buffer.from(name, 'hex').toString()))
  const rest = kept.filter(([name]) => name !== 'content-length')
  return { start, headers: rest, framing, body: { ...scope, headers: given, client: null, server: null } }
}

/** The scope that the app has told of. */
export function scopeIn({ body }: Message): ScopeSeen | undefined {
  if (!body.startsWith('{"type": ')) return undefined
  return JSON.parse(body) as ScopeSeen
}

/** The time differs, its form must not. */
function dateOf(value: string): string {
  return /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value) ? 'a date' : value
}
