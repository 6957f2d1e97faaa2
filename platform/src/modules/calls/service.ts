import { ScalerError } from '@fp/scaler'
import type { CallStreamEvent, ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import type { AppAnswer, Gate } from '../../gate/gate.ts'
import { targetKey } from '../../runtime/targets.ts'
import type { AppService } from '../app-records/service.ts'
import { cleanRequest } from './request.ts'
import { shownAnswer } from './shown.ts'
import { streamAnswer } from './stream.ts'

/** The client of a request to an app through the API. The app sees it as the client of the request. */
export interface Caller {
  readonly address: string
  /** `http` or `https` */
  readonly scheme: string
  /** Aborts when the client has closed the request. */
  readonly gone: AbortSignal
}

export interface CallServiceDeps {
  readonly apps: Pick<AppService, 'findDeployed'>
  readonly call: Gate['call']
  readonly appUrl: (appId: string) => string
}

export interface CallService {
  /** Sends one request to an app for its owner. Rejects with FP_APP_TIMEOUT when the answer is not complete within 60 s. */
  call(ownerId: string, appId: string, request: ProxyBody, caller: Caller): Promise<ProxyAnswer>
  /** The same, but yields the answer as it arrives, for up to 10 minutes. Rejects if it fails before the answer's head. */
  stream(
    ownerId: string,
    appId: string,
    request: ProxyBody,
    caller: Caller,
  ): Promise<AsyncIterable<CallStreamEvent>>
}

/** Attempts at one call: a deployment may replace the target between lookup and call. Many replacements in a row are a bug. */
const MAX_RETIRED = 5
/** Limit for the whole answer, in ms. */
const TIMEOUT = 60_000
const STREAM_TIMEOUT = 10 * 60_000

export function createCallService({ apps, call, appUrl }: CallServiceDeps): CallService {
  async function send(
    ownerId: string,
    appId: string,
    request: ProxyBody,
    { address, scheme }: Caller,
    signal: AbortSignal,
  ): Promise<AppAnswer> {
    const { host } = new URL(appUrl(appId))
    const { headers = {}, ...rest } = cleanRequest(request)
    for (let attempt = 1; ; attempt++) {
      const key = targetKey(await apps.findDeployed(ownerId, appId))
      try {
        return await call({ ...rest, key, host, headers, client: { address, scheme } }, { signal })
      } catch (error) {
        // The target was replaced between the lookup and the call. Nothing was sent.
        if (!isRetired(error) || attempt === MAX_RETIRED) throw error
      }
    }
  }

  return {
    async call(ownerId, appId, request, caller) {
      const timeout = AbortSignal.timeout(TIMEOUT)
      const began = performance.now()
      try {
        const signal = AbortSignal.any([timeout, caller.gone])
        const answer = await send(ownerId, appId, request, caller, signal)
        const shown = await shownAnswer(answer)
        return { ...shown, latency_ms: since(began), cold_start: answer.coldStart }
      } catch (error) {
        caller.gone.throwIfAborted()
        throw timeout.aborted ? tooLate(error) : error
      }
    },

    async stream(ownerId, appId, request, caller) {
      const began = performance.now()
      // Aborts with an error of its own: if the head was sent before, the stream ends with this error.
      const timeout = new AbortController()
      const timer = setTimeout(() => timeout.abort(streamTooLong()), STREAM_TIMEOUT)
      try {
        const signal = AbortSignal.any([timeout.signal, caller.gone])
        const answer = await send(ownerId, appId, request, caller, signal)
        answer.body.once('close', () => clearTimeout(timer))
        return streamAnswer(answer, () => since(began))
      } catch (error) {
        clearTimeout(timer)
        throw error
      }
    },
  }
}

/** ms, with one decimal. */
function since(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10
}

function tooLate(cause: unknown): FpError {
  const text = `The app did not answer completely within ${TIMEOUT / 1000} s. Ask for a stream to see an answer as it arrives.`
  return new FpError('FP_APP_TIMEOUT', text, { cause })
}

function streamTooLong(): FpError {
  const minutes = STREAM_TIMEOUT / 60_000
  const text = `The answer was not complete after ${minutes} minutes and is followed no further. Open the app's URL for all of it.`
  return new FpError('FP_APP_TIMEOUT', text)
}

function isRetired(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof ScalerError && error.cause.code === 'SCALER_RETIRED'
}
