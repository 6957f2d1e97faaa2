/** One server-sent event. Source of the format: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export interface ServerSentEvent {
  event: string
  data: string
  id: string | undefined
}

/**
 * Reads `text/event-stream` from a fetch answer. EventSource exists in browsers only, cannot send a bearer
 * token and hides the error body. Ends when the server closes the stream. Leaving the loop cancels the body.
 */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  const parser = createEventParser()
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) return
      yield* parser.push(decoder.decode(value, { stream: true }))
    }
  } finally {
    // Cancelling a broken stream rejects, and nothing needs to be done then.
    await reader.cancel().catch(() => {})
  }
}

/** Turns chunks of text into events. A chunk may end anywhere. */
export function createEventParser(): { push(chunk: string): ServerSentEvent[] } {
  let rest = ''
  let event = ''
  let data: string[] = []
  let id: string | undefined

  function line(text: string, out: ServerSentEvent[]): void {
    if (text === '') {
      if (data.length > 0) out.push({ event: event || 'message', data: data.join('\n'), id })
      event = ''
      data = []
      return
    }
    const colon = text.indexOf(':')
    if (colon === 0) return // a comment: the server's keep-alive
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id') id = value
  }

  return {
    push(chunk) {
      const out: ServerSentEvent[] = []
      const text = rest + chunk
      // A lone CR at the end may be the first half of CRLF: keep it for the next chunk.
      const lines = text.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const each of lines) line(each, out)
      return out
    },
  }
}
