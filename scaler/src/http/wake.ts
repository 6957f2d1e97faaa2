import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import { ScalerError } from '../errors.ts'
import type { Activator, Lease, TargetKey, TargetPhase } from '../types.ts'
import { closeIfUnread } from './linger.ts'
import type { ProxySession } from './session.ts'

/** What is done with a request whose target is not awake. */
export type WakeDecision =
  /** Wakes the target; the request waits. */
  | { readonly action: 'hold' }
  /** Wakes the target; the loading page is sent when that takes longer than its `after`, and the wake goes on. */
  | { readonly action: 'page' }
  /** Answered in the target's stead, which sleeps on. */
  | {
      readonly action: 'answer'
      readonly statusCode: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  /** SCALER_ASLEEP to the instance's error handler; the target sleeps on. `retryAfter` in seconds. */
  | { readonly action: 'reject'; readonly retryAfter?: number }

/** What to do with a request whose target is not awake; asked for no other. Undefined: no opinion, the next one is asked. */
export type WakePolicy = (
  request: IncomingMessage,
  target: { readonly key: TargetKey; readonly phase: TargetPhase },
) => WakeDecision | undefined

/**
 * What was done with a request, as its answer says: sent to an endpoint that was ready, sent to one once it was (or
 * failed waiting for it), or answered without the app.
 */
export type WakeMark = 'warm' | 'held' | 'loading-page' | 'answered' | 'rejected'

/** Of a request that has, or has been refused, its lease. */
export function markOf(lease: Lease | undefined): WakeMark {
  return lease && !lease.coldStart ? 'warm' : 'held'
}

/** What a client that would rather see something than wait gets, while the target goes on waking. */
export interface LoadingPage {
  /** ms of waiting until it is sent. */
  readonly after: number
  /** Sends it. The wake goes on meanwhile. */
  send(request: FastifyRequest, reply: FastifyReply, key: TargetKey): unknown
}

export interface WakeContext {
  readonly activator: Activator
  readonly policies: readonly WakePolicy[]
  readonly loadingPage: LoadingPage | undefined
  readonly wakeHeader: string
  readonly clock: Clock
}

const HOLD: WakeDecision = { action: 'hold' }

/** The first opinion of the policies on a request that cannot be served at once. */
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

/** Does what the policies decide. The lease, or undefined when the request has been answered without one. */
export async function wake(
  context: WakeContext,
  session: ProxySession,
  reply: FastifyReply,
): Promise<Lease | undefined> {
  const decision = decide(context, session)
  if (decision.action === 'hold') return session.acquire()
  if (decision.action === 'page') return page(context, session, reply)
  if (decision.action === 'reject') throw asleep(decision.retryAfter)
  const { statusCode, headers = {}, body } = decision
  mark(context, reply, 'answered').code(statusCode).headers(headers).send(body)
  return undefined
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
  // Its client no longer waits for the lease; the wake goes on without it.
  session.end()
  await loadingPage.send(reply.request, mark(context, reply, 'loading-page'), session.key!)
  return undefined
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
