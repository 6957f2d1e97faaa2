import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import type { Activator, Lease, TargetKey, TargetPhase } from '../types.ts'
import type { WakeMark } from './exchange-record.ts'
import { closeIfUnread } from './linger.ts'
import type { FailedWake, ProxySession } from './session.ts'

/** How to handle a request whose target is not awake. */
export type WakeDecision =
  /** Wakes the target and lets the request wait. */
  | { readonly action: 'hold' }
  /** Wakes the target. If the wake takes longer than `LoadingPage.after`, sends the loading page while the wake continues. */
  | { readonly action: 'page' }
  /**
   * Wakes the target, and sends this request to another server meanwhile: `http://host:port`, or `unix:/path/to.sock`. It gets the
   * client's `Host` header and path. If it does not accept the connection, the request is held.
   */
  | { readonly action: 'fallback'; readonly url: string }
  /** Sends this response without waking the target. */
  | {
      readonly action: 'answer'
      readonly statusCode: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  /** Passes SCALER_ASLEEP to the instance's error handler, without waking the target. `retryAfter` in seconds. */
  | { readonly action: 'reject'; readonly retryAfter?: number }

/**
 * Decides how to handle a request. Called only if the target is not awake. Returns undefined to leave the decision to the next
 * policy.
 */
export type WakePolicy = (
  request: IncomingMessage,
  target: { readonly key: TargetKey; readonly phase: TargetPhase },
) => WakeDecision | undefined

/** The page that a browser gets if a wake takes too long. The wake continues. */
export interface LoadingPage {
  /** How long the request waits before the page is sent, in ms. */
  readonly after: number
  /** Sends the page, or returns it or a promise of it. */
  send(request: FastifyRequest, reply: FastifyReply, key: TargetKey): unknown
}

export interface WakeContext {
  readonly activator: Activator
  readonly policies: readonly WakePolicy[]
  readonly loadingPage: LoadingPage | undefined
  readonly wakeHeader: string
  readonly clock: Clock
  /** The wakes that `fallback` has begun. */
  readonly fallbackWakes: Map<TargetKey, FailedWake>
}

const HOLD: WakeDecision = { action: 'hold' }

/** The first decision of the policies on a request that cannot be served immediately; `hold` if there is none. */
export function decide({ activator, policies }: WakeContext, session: ProxySession): WakeDecision {
  const key = session.key!
  const phase = activator.stats(key)?.phase ?? 'asleep'
  if (phase === 'awake') return HOLD
  for (const policy of policies) {
    const decision = policy(session.request, { key, phase })
    if (decision) return decision
  }
  return HOLD
}

/**
 * Carries out the decision of the policies. Resolves to the lease, or to undefined if the request was answered without one.
 * Rejects with a ScalerError.
 */
export async function wake(
  context: WakeContext,
  session: ProxySession,
  reply: FastifyReply,
): Promise<Lease | undefined> {
  const decision = decide(context, session)
  if (decision.action === 'hold') return session.acquire()
  if (decision.action === 'page') return page(context, session, reply)
  if (decision.action === 'fallback') return fallBack(context, session, decision.url)
  if (decision.action === 'reject') throw asleep(decision.retryAfter)
  const { statusCode, headers = {}, body } = decision
  mark(context, reply, 'answered').code(statusCode).headers(headers).send(body)
  return undefined
}

function fallBack({ activator, fallbackWakes }: WakeContext, session: ProxySession, url: string): Lease {
  const key = session.key!
  let waking = fallbackWakes.get(key)
  // One waiting request is enough for the wake, also while the target is still draining. The observer is told if it fails.
  if (!waking && activator.stats(key)?.phase !== 'waking') {
    const begun: FailedWake = {}
    fallbackWakes.set(key, (waking = begun))
    activator
      .wake(key)
      .catch((error: unknown) => void (begun.reason = { error }))
      .finally(() => fallbackWakes.delete(key))
  }
  return session.divert(new URL(url), waking ?? {})
}

async function page(
  context: WakeContext,
  session: ProxySession,
  reply: FastifyReply,
): Promise<Lease | undefined> {
  const { loadingPage, clock } = context
  const waiting = session.acquire()
  if (!loadingPage) return waiting
  let cancel = (): void => undefined
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.schedule(loadingPage.after, () => resolve(undefined))
  })
  const lease = await Promise.race([waiting, late]).finally(() => cancel())
  if (lease) return lease
  // The request no longer waits for the lease. The wake continues.
  session.end()
  await sendPage(loadingPage, mark(context, reply, 'loading-page'), session.key!)
  return undefined
}

async function sendPage(page: LoadingPage, reply: FastifyReply, key: TargetKey): Promise<void> {
  let sent = false
  const send = reply.send.bind(reply)
  // `reply.sent` is true only when the hooks of the response are over.
  reply.send = (payload) => {
    sent = true
    return send(payload)
  }
  const returned = await page.send(reply.request, reply, key)
  if (sent || reply.sent) return
  if (returned === undefined)
    throw new TypeError(
      'loadingPage.send has neither sent nor returned a page. Return it, or the reply that sends it.',
    )
  reply.send(returned)
}

function mark({ wakeHeader }: WakeContext, reply: FastifyReply, value: WakeMark): FastifyReply {
  closeIfUnread(reply)
  return reply.header(wakeHeader, value)
}

export function asleep(retryAfter = 1): ScalerError {
  return new ScalerError('SCALER_ASLEEP', 'The app is asleep, and this request does not wake it.', {
    retryAfter,
  })
}
