import type { Phase } from '@fp/scaler'
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { Agent, request, type ClientRequestArgs, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TargetKey } from '@fp/scaler'
import type { AppFailureReport, SpecAsset } from '../runtime.ts'
import { parseReport } from './failures.ts'
import type { PackedStartRequest } from './start-request.ts'

/** Of a pod of the pool: what both sides prove to know. Nobody else can: it is derived from the platform's own key. */
export function podKey(secretKey: Buffer, podName: string): string {
  return createHmac('sha256', secretKey).update(`pool ${podName}`).digest('hex')
}

/** Of the pods of a target's Deployment, which wait for their start request because assets belong to it. */
export function targetPodKey(secretKey: Buffer, key: TargetKey): string {
  return createHmac('sha256', secretKey).update(`target ${key}`).digest('hex')
}

export type StartAnswer =
  | { readonly ready: true; readonly phases: readonly Phase[] }
  | { readonly ready: false; readonly failure: AppFailureReport }

/** The pod has a start request: somebody else was quicker. */
export class PodToldError extends Error {}

/** A pod that has proved to be the one, and waits for its start request on the connection that it proved it on. */
export interface ProvenPod {
  /**
   * Sends the start request and the contents of its assets. Resolves once the app is ready or has failed; rejects when the pod is
   * gone, with PodToldError when it has a start request.
   */
  start(request: PackedStartRequest, signal: AbortSignal): Promise<StartAnswer>
  close(): void
}

/** ms for the pod's proof: one that waits answers at once. */
const PROOF_TIMEOUT = 2_000

/**
 * Makes a pod prove that it is the one that the platform made. Rejects where nobody answers, or somebody else does: an
 * address may have come to belong to another pod since it was read. With PodToldError when it says that it has a start request.
 */
export async function provePod(address: URL, key: string, signal: AbortSignal): Promise<ProvenPod> {
  const agent = new OneConnection({ keepAlive: true, maxSockets: 1 })
  try {
    const nonce = randomBytes(16).toString('hex')
    const answer = await send(address, agent, {
      method: 'GET',
      headers: { 'fp-nonce': nonce },
      signal: AbortSignal.any([signal, AbortSignal.timeout(PROOF_TIMEOUT)]),
    })
    if (answer.status !== 200) throw refusalOf(answer)
    const { nonce: theirs, proof } = parsed(answer)
    if (
      typeof theirs !== 'string' ||
      typeof proof !== 'string' ||
      !same(proof, hmac(key, `pod:${nonce}:${theirs}`))
    ) {
      throw new Error('whoever answers at the address of the pod is not the pod')
    }
    return {
      start: (request, stop) =>
        sendStartRequest(address, agent, { key, theirs, start: request, signal: stop }).finally(() =>
          agent.destroy(),
        ),
      close: () => agent.destroy(),
    }
  } catch (error) {
    agent.destroy()
    throw error
  }
}

async function sendStartRequest(
  address: URL,
  agent: Agent,
  {
    key,
    theirs,
    start,
    signal,
  }: { key: string; theirs: string; start: PackedStartRequest; signal: AbortSignal },
): Promise<StartAnswer> {
  const { body, assets } = start
  const digest = createHash('sha256').update(body).digest('hex')
  let answer = await send(address, agent, {
    method: 'POST',
    headers: { 'fp-proof': hmac(key, `platform:${theirs}:${digest}`), 'content-type': 'application/gzip' },
    body,
    signal,
  })
  if (assets.length > 0 && answer.status === 200) {
    if (!parsed(answer)['wanted']) throw new Error('the pod takes no assets: its image is too old')
    answer = await sendContents(address, agent, assets, signal)
  }
  const value = parsed(answer)
  if (answer.status === 200) return { ready: true, phases: (value['phases'] as Phase[] | undefined) ?? [] }
  const failure = parseReport(JSON.stringify(value['failure'] ?? null))
  if (answer.status === 422 && failure) return { ready: false, failure }
  throw refusalOf(answer)
}

/** One after the other, each once. The start request names them by their hash, so they need no proof. Resolves to the last answer. */
async function sendContents(
  address: URL,
  agent: Agent,
  assets: readonly SpecAsset[],
  signal: AbortSignal,
): Promise<Answer> {
  const left = [...new Map(assets.map((asset) => [asset.sha256, asset])).values()]
  /** The next one is read while one is sent. */
  const read = (asset: SpecAsset | undefined): Promise<Buffer | undefined> => {
    const reading = asset?.read() ?? Promise.resolve(undefined)
    reading.catch(() => undefined)
    return reading
  }
  for (let next = read(left.shift()); ;) {
    const body = (await next)!
    const isLast = left.length === 0
    next = read(left.shift())
    const answer = await send(address, agent, {
      path: '/_fp/claim/content',
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body,
      signal,
    })
    if (isLast) return answer
    if (answer.status !== 204) throw refusalOf(answer)
  }
}

function refusalOf({ status, text }: Answer): Error {
  const message = `the pod answered ${status}: ${text.slice(0, 200)}`
  return status === 409 ? new PodToldError(message) : new Error(message)
}

/**
 * Makes no second connection. A pod that ends after its proof closes the first one, and its address may be another's by
 * the time that the start request is sent.
 */
class OneConnection extends Agent {
  #made = false

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    if (!this.#made) {
      this.#made = true
      return super.createConnection(options, callback)
    }
    callback?.(new Error('the pod has hung up after its proof'), undefined as never)
    return undefined
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** Of an answer that is no JSON object: nothing. */
function parsed({ text }: Answer): Record<string, unknown> {
  try {
    return { ...(JSON.parse(text) as object) }
  } catch {
    return {}
  }
}

/** An answer of a pod is small; whatever its app could make of it is not read without end. */
const MAX_ANSWER = 64 * 1024

function send(
  address: URL,
  agent: Agent,
  options: {
    path?: string
    method: string
    headers: Record<string, string>
    body?: Buffer
    signal: AbortSignal
  },
): Promise<Answer> {
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

function hmac(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
