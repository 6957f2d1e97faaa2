import type { Phase } from '@fp/scaler'
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Agent } from 'node:http'
import type { AppFailureReport, SpecAsset } from '../runtime.ts'
import { parseReport } from './failures.ts'
import { OneConnection, parsed, send, type PodAnswer } from './pod-connection.ts'
import type { PackedStartRequest } from './start-request.ts'

export type StartAnswer =
  | { readonly ready: true; readonly phases: readonly Phase[] }
  | { readonly ready: false; readonly failure: AppFailureReport }

/** The pod already has a start request, from another replica. */
export class PodClaimedError extends Error {}

/** A pod that has proved its identity. It waits for its start request on the connection of the proof. */
export interface ProvenPod {
  /**
   * Sends the start request and the contents of its assets. Resolves once the app is ready or has failed; rejects when the
   * pod is gone, with PodClaimedError when it has a start request already.
   */
  start(request: Pick<PackedStartRequest, 'body' | 'assets'>, signal: AbortSignal): Promise<StartAnswer>
}

/** ms for the pod's proof. A pod that waits answers at once. */
const PROOF_TIMEOUT = 2_000

/**
 * Makes a pod prove its identity, as its address may belong to another pod since it was read. Rejects if nobody or another
 * pod answers, and with PodClaimedError if the pod already has a start request.
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
    if (answer.status !== 200) throw answerError(answer)
    const { nonce: theirs, proof } = parsed(answer)
    if (
      typeof theirs !== 'string' ||
      typeof proof !== 'string' ||
      !same(proof, hmac(key, `pod:${nonce}:${theirs}`))
    ) {
      throw new Error('another server answers at the address of the pod')
    }
    return {
      start: (request, stop) =>
        sendStartRequest(address, agent, { key, theirs, start: request, signal: stop }).finally(() =>
          agent.destroy(),
        ),
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
  }: { key: string; theirs: string; start: Pick<PackedStartRequest, 'body' | 'assets'>; signal: AbortSignal },
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
  throw answerError(answer)
}

/**
 * Sends each content once, one after the other. The start request names them by their hash, so they need no proof.
 * Resolves to the last answer.
 */
async function sendContents(
  address: URL,
  agent: Agent,
  assets: readonly SpecAsset[],
  signal: AbortSignal,
): Promise<PodAnswer> {
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
    if (answer.status !== 204) throw answerError(answer)
  }
}

function answerError({ status, text }: PodAnswer): Error {
  const message = `the pod answered ${status}: ${text.slice(0, 200)}`
  return status === 409 ? new PodClaimedError(message) : new Error(message)
}

function hmac(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
