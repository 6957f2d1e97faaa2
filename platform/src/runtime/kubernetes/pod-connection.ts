import { Agent, request, type ClientRequestArgs, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * An agent that opens no second connection. A pod that ends after its proof closes the first one, and its address may
 * belong to another pod by the time that the start request is sent.
 */
export class OneConnection extends Agent {
  #made = false

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    if (!this.#made) {
      this.#made = true
      return super.createConnection(options, callback)
    }
    callback?.(new Error('the pod has closed the connection after its proof'), undefined as never)
    return undefined
  }
}

export interface PodAnswer {
  readonly status: number
  readonly text: string
}

/** The fields of the answer; none if it is not a JSON object. */
export function parsed({ text }: PodAnswer): Record<string, unknown> {
  try {
    return { ...(JSON.parse(text) as object) }
  } catch {
    return {}
  }
}

/** Limit for a pod's answer, in bytes. Answers are small, but an app's code could send one without an end. */
const MAX_ANSWER = 64 * 1024

export function send(
  address: URL,
  agent: Agent,
  options: {
    path?: string
    method: string
    headers: Record<string, string>
    body?: Buffer
    signal: AbortSignal
  },
): Promise<PodAnswer> {
  const { path = '/_fp/claim', method, headers, body, signal } = options
  return new Promise((resolve, reject) => {
    const sent = request(
      new URL(path, address),
      {
        method,
        agent,
        signal,
        headers: { ...headers, ...(body ? { 'content-length': body.length } : {}) },
      },
      (response: IncomingMessage) => {
        const chunks: Buffer[] = []
        let size = 0
        response
          .on('data', (chunk: Buffer) => {
            size += chunk.length
            if (size > MAX_ANSWER) sent.destroy(new Error('the pod answers without end'))
            else chunks.push(chunk)
          })
          .once('error', reject)
          .once('end', () =>
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
          )
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
