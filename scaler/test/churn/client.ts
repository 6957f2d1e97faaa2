import { createHash, randomBytes } from 'node:crypto'
import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import WebSocket from 'ws'

/** What a client got: all of an answer, part of one, or none. */
export interface Answer {
  /** 0 where there was no answer at all. A WebSocket that opened has 101. */
  readonly status: number
  readonly text: string
  /** False where the connection broke before the end of the answer. */
  readonly whole: boolean
}

interface Sent {
  readonly answer: Promise<Answer>
  /** Settles once something of the answer's text has come. */
  readonly begun: Promise<void>
}

/** Who asks: the front's address, the service by its host name, and the request's own id. */
export interface Call {
  readonly port: number
  readonly host: string
  readonly id: string
}

export type Kind = 'echo' | 'upload' | 'events' | 'socket'
export const KINDS: readonly Kind[] = ['echo', 'upload', 'events', 'socket']

/** Kinds of requests that the front may send twice if a crash hits them before any byte of the answer: GETs. */
export const REPEATABLE: readonly Kind[] = ['echo', 'events']

/** A request of a kind, and the one answer that is right. */
export function send(kind: Kind, call: Call, agent: Agent): { answer: Promise<Answer>; right: Answer } {
  const whole = (text: string, status = 200): Answer => ({ status, text, whole: true })
  switch (kind) {
    case 'echo':
      return { ...http(`/echo?id=${call.id}`, call, agent), right: whole(call.id) }
    case 'upload': {
      const parts = Array.from({ length: 4 }, () => randomBytes(8_000))
      const hash = createHash('sha256').update(Buffer.concat(parts)).digest('hex')
      const sent = http(`/upload?id=${call.id}`, call, agent, (upload) => {
        for (const part of parts) upload.write(part)
        upload.end()
      })
      return { ...sent, right: whole(`32000 ${hash}`) }
    }
    case 'events': {
      const events = [1, 2, 3, 4, 5].map((n) => `data: ${call.id} ${n}\n\n`)
      return { ...http(`/events?id=${call.id}`, call, agent), right: whole(events.join('')) }
    }
    case 'socket': {
      const words = [1, 2, 3].map((n) => `${call.id} ${n}`)
      return { ...webSocket(`/socket?id=${call.id}`, call, words, true), right: whole(words.join(''), 101) }
    }
  }
}

/** A request that the app of this process begins with and never ends, and what a crash makes of it. */
export function sendHeld(
  kind: Kind,
  call: Call,
  agent: Agent,
  pid: number,
): { answer: Promise<Answer>; begun: Promise<void> | undefined; broken: Answer; repeated?: Answer } {
  const path = `/${kind}?held=${pid}&id=${call.id}`
  const reset: Answer = { status: 502, text: 'SCALER_UPSTREAM_RESET', whole: true }
  switch (kind) {
    case 'echo':
      return {
        ...http(path, call, agent),
        begun: undefined,
        broken: reset,
        repeated: { status: 200, text: call.id, whole: true },
      }
    case 'upload': {
      const sent = http(path, call, agent, (upload) => upload.write('the first of many'))
      return { ...sent, begun: undefined, broken: reset }
    }
    case 'events':
      return {
        ...http(path, call, agent),
        broken: { status: 200, text: `data: ${call.id} 1\n\n`, whole: false },
      }
    case 'socket':
      return {
        ...webSocket(path, call, [call.id], false),
        broken: { status: 101, text: call.id, whole: false },
      }
  }
}

function http(
  path: string,
  { port, host }: Call,
  agent: Agent,
  body?: (request: ClientRequest) => void,
): Sent {
  const answer = Promise.withResolvers<Answer>()
  const begun = Promise.withResolvers<void>()
  const sent = httpRequest({ port, path, agent, method: body ? 'POST' : 'GET', headers: { host } })
  let response: IncomingMessage | undefined
  let text = ''
  sent.once('response', (got) => {
    response = got
    response
      .setEncoding('utf8')
      .on('data', (part: string) => {
        text += part
        begun.resolve()
      })
      .once('end', () => {
        // Answered before it has said everything: it would wait for ever to say the rest.
        if (!sent.writableFinished) sent.destroy()
      })
      .on('error', () => undefined)
  })
  // Whatever became of it, this comes once and last.
  sent.once('close', () => {
    answer.resolve({ status: response?.statusCode ?? 0, text, whole: response?.complete ?? false })
  })
  sent.on('error', () => undefined)
  if (body) body(sent)
  else sent.end()
  return { answer: answer.promise, begun: begun.promise }
}

/** Says each word when the one before has come back, and then goodbye if it is to. */
function webSocket(path: string, { port, host }: Call, words: string[], goodbye: boolean): Sent {
  const answer = Promise.withResolvers<Answer>()
  const begun = Promise.withResolvers<void>()
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { host } })
  let status = 0
  let text = ''
  const left = [...words]
  const next = (): void => {
    const word = left.shift()
    if (word !== undefined) socket.send(word)
    else if (goodbye) socket.close(1000)
  }
  socket.once('open', () => {
    status = 101
    next()
  })
  socket.on('message', (data: Buffer) => {
    text += String(data)
    begun.resolve()
    next()
  })
  socket.once('unexpected-response', (_request, response: IncomingMessage) => {
    status = response.statusCode ?? 0
    socket.terminate()
  })
  socket.on('error', () => undefined)
  socket.once('close', (code) => {
    answer.resolve({ status, text, whole: code === 1000 })
  })
  return { answer: answer.promise, begun: begun.promise }
}
