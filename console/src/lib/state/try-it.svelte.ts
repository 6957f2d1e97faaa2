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
  hasBody = $derived(this.method !== 'GET' && this.method !== 'HEAD')

  /** The path that `answer` answers. */
  answered = $state('')
  #stop: AbortController | undefined

  constructor(appId: string) {
    this.appId = appId
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
    const stop = (this.#stop = new AbortController())
    this.sending = true
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
      this.sending = false
      this.streaming = false
    }
  }

  #take(event: CallStreamEvent): void {
    const { answer } = this
    if (event.event === 'head') {
      const { event: _event, ...head } = event
      this.answer = { ...head, body: '', body_encoding: 'text', body_truncated: false }
      this.streaming = true
    } else if (answer && event.event === 'body') {
      const { body, body_encoding } = event
      this.answer = { ...answer, body_encoding, body: joined(answer.body, body, body_encoding) }
    } else if (answer && event.event === 'end') {
      const { body_truncated, latency_ms } = event
      this.answer = asText({ ...answer, body_truncated, latency_ms })
    } else if (event.event === 'error') {
      this.error = new ApiError({ status: 502, code: event.code, message: event.message })
    }
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
