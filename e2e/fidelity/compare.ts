import { readMessage, type HeaderLine, type Message } from '../../scaler/test/proxy/message.ts'
import { Wire } from '../../scaler/test/proxy/wire.ts'

/** Headers that the platform adds to an answer, and hop-by-hop headers. See docs/http.md. */
const ADDED_TO_ANSWERS = new Set(['x-request-id', 'x-fp-wake', 'server-timing'])
const OF_CONNECTION = new Set(['connection', 'keep-alive'])

/** Headers that the platform adds to a request. */
const ADDED_TO_REQUESTS = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-request-id',
])

/** An answer without its intended differences. Bytes are characters of latin-1. */
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
    // uvicorn adds a Server header and fp does not. A Server header of the app itself is passed on.
    .filter(([name, value]) => name !== 'server' || value !== 'uvicorn')
    .map(([name, value]): HeaderLine => [name, name.toLowerCase() === 'date' ? dateOf(value) : value])
  const scope = scopeIn({ start, headers, framing, body, trailers: [] })
  if (!scope) return { start, headers: kept, framing, body }
  // The server's address differs, so it is compared separately, and so is the length of the text.
  const given = scope.headers.filter(([name]) => !ADDED_TO_REQUESTS.has(Buffer.from(name, 'hex').toString()))
  const rest = kept.filter(([name]) => name !== 'content-length')
  return { start, headers: rest, framing, body: { ...scope, headers: given, client: null, server: null } }
}

/** The ASGI scope that the app answered with. */
export function scopeIn({ body }: Message): ScopeSeen | undefined {
  if (!body.startsWith('{"type": ')) return undefined
  return JSON.parse(body) as ScopeSeen
}

/** The time may differ, its format may not. */
function dateOf(value: string): string {
  return /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value) ? 'a date' : value
}
