import { ApiError } from '@fp/sdk/client'
import type { CallStreamEvent, ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { isAbort } from '#lib/api/errors.ts'
import { pathWithin } from '#lib/editor/routes.ts'

export type Method = ProxyBody['method']
export const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']

interface Remembered {
  method?: Method
  path?: string
  headers?: string
  body?: string
}

const key = (appId: string): string => `fp:try:${appId}`

/** Keeps the last request to an app on this device. */
export function rememberTry(appId: string, request: Remembered): void {
  try {
    localStorage.setItem(key(appId), JSON.stringify(request))
  } catch {
    // Storage is full or forbidden. The request is not kept, which does no harm.
  }
}

/** Two pieces of a body as one. */
function joined(before: string, piece: string, encoding: ProxyAnswer['body_encoding']): string {
  return encoding === 'text' ? before + piece : btoa(atob(before) + atob(piece))
}

/** An answer whose type does not say that its body is text may be text all the same. */
function asText(answer: ProxyAnswer): ProxyAnswer {
  if (answer.body_encoding === 'text' || answer.body_truncated) return answer
  const bytes = Uint8Array.from(atob(answer.body), (char) => char.charCodeAt(0))
  try {
    const body = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return body.includes('\0') ? answer : { ...answer, body, body_encoding: 'text' }
  } catch {
    return answer
  }
}

/** ms between two updates of the time that a streamed answer has taken. */
const TICK = 100

/** How an answer ended: completely, by the person, or by a failure after its head. */
export type AnswerEnd = 'complete' | 'stopped' | 'failed'

/** The times of an answer in ms, from the moment of sending. */
export interface Timing {
  readonly firstByte: number
  /** Until its end, or until now while it arrives. */
  readonly total: number
}

/** One request to the app, which the platform makes for the owner. */
export class TryIt {
  readonly appId: string
  method = $state<Method>('GET')
  path = $state('/')
  /** One `Name: value` a line. */
  headers = $state('')
  body = $state('')
  sending = $state(false)
  /** What has come of the answer. */
  answer = $state.raw<ProxyAnswer | undefined>()
  /** Whether the answer has begun and goes on. */
  streaming = $state(false)
  error = $state.raw<unknown>()
  timing = $state.raw<Timing | undefined>()
  /** Undefined until the answer ends. */
  ended = $state<AnswerEnd | undefined>()
  hasBody = $derived(this.method !== 'GET' && this.method !== 'HEAD')

  /** The path that `answer` answers. */
  answered = $state('')
  #stop: AbortController | undefined
  /** When the head arrived, by `#now`. */
  #headAt = 0
  readonly #now: () => number

  /** `now` is a clock in ms. */
  constructor(appId: string, now: () => number = () => performance.now()) {
    this.appId = appId
    this.#now = now
    try {
      const kept = JSON.parse(localStorage.getItem(key(appId)) ?? '{}') as Remembered
      this.method = METHODS.find((method) => method === kept.method) ?? 'GET'
      this.path = kept.path ?? '/'
      this.headers = kept.headers ?? ''
      this.body = kept.body ?? ''
    } catch {
      // What was kept is broken. The fields keep their defaults.
    }
  }

  /** `appUrl` is the app's address. The person may have pasted it with the path. */
  async send(appUrl: string): Promise<void> {
    if (this.sending) return
    // Removes the previous answer, which does not belong to this request.
    this.answer = undefined
    this.error = undefined
    this.timing = undefined
    this.ended = undefined
    const stop = (this.#stop = new AbortController())
    this.sending = true
    const ticking = setInterval(() => this.#measure(), TICK)
    try {
      const path = (this.path = pathWithin(this.path, appUrl))
      const { method, headers, body } = this
      rememberTry(this.appId, { method, path, headers, body })
      const request = {
        method,
        path,
        headers: this.#headers(),
        ...(this.hasBody && body !== '' ? { body } : {}),
      }
      this.answered = path
      for await (const event of client.apps.callStream(this.appId, request, { signal: stop.signal }))
        this.#take(event)
    } catch (error) {
      if (!isAbort(error)) this.error = error
    } finally {
      clearInterval(ticking)
      if (this.streaming) {
        this.#measure()
        this.ended = stop.signal.aborted ? 'stopped' : 'failed'
      }
      this.sending = false
      this.streaming = false
    }
  }

  #take(event: CallStreamEvent): void {
    const { answer } = this
    if (event.event === 'head') {
      const { event: _event, ...head } = event
      this.answer = { ...head, body: '', body_encoding: 'text', body_truncated: false }
      this.#headAt = this.#now()
      this.timing = { firstByte: head.latency_ms, total: head.latency_ms }
      this.streaming = true
    } else if (answer && event.event === 'body') {
      const { body, body_encoding } = event
      this.answer = { ...answer, body_encoding, body: joined(answer.body, body, body_encoding) }
    } else if (answer && event.event === 'end') {
      const { body_truncated, latency_ms } = event
      this.answer = asText({ ...answer, body_truncated, latency_ms })
      if (this.timing) this.timing = { ...this.timing, total: latency_ms }
      this.ended = 'complete'
      this.streaming = false
    } else if (event.event === 'error') {
      this.error = new ApiError({ status: 502, code: event.code, message: event.message })
    }
  }

  /** The platform says the total with the end of the answer. Until then this device measures it. */
  #measure(): void {
    if (!this.streaming || !this.timing) return
    const { firstByte } = this.timing
    this.timing = { firstByte, total: firstByte + this.#now() - this.#headAt }
  }

  cancel(): void {
    this.#stop?.abort()
  }

  #headers(): Record<string, string> {
    const result: Record<string, string> = {}
    for (const line of this.headers.split('\n')) {
      const colon = line.indexOf(':')
      if (colon > 0) result[line.slice(0, colon).trim()] = line.slice(colon + 1).trim()
    }
    const typed = Object.keys(result).some((name) => name.toLowerCase() === 'content-type')
    if (this.hasBody && this.body !== '' && !typed) result['content-type'] = 'application/json'
    return result
  }
}
