import { ScalerError, type TargetKey } from '@fp/scaler'
import type { ProxyAnswer, ProxyBody } from '@fp/sdk/wire'
import { targetKey } from '../../runtime/targets.ts'
import type { AppService } from '../app-records/service.ts'
import { cleanAnswer, cleanRequest } from './proxy.ts'

/** Where a request to an app through the API comes from; the app is told. */
export interface Caller {
  readonly address: string
  /** `http` or `https` */
  readonly scheme: string
  /** Aborts when nobody waits for the answer any more. */
  readonly gone: AbortSignal
}

/** One request to an app, through the activator like any other. */
export type CallApp = (
  target: { key: TargetKey; host: string },
  request: ProxyBody,
  caller: Caller,
) => Promise<ProxyAnswer>

export interface CallServiceDeps {
  readonly apps: Pick<AppService, 'findDeployed'>
  readonly call: CallApp
  readonly appUrl: (appId: string) => string
}

export interface CallService {
  /** Sends one request to an app for its owner. */
  call(ownerId: string, appId: string, request: ProxyBody, caller: Caller): Promise<ProxyAnswer>
}

/** A switch may come between an app's lookup and its call; more than a few of them is a bug. */
const MAX_RETIRED = 5

export function createCallService({ apps, call, appUrl }: CallServiceDeps): CallService {
  return {
    async call(ownerId, appId, request, caller) {
      const { host } = new URL(appUrl(appId))
      const cleaned = cleanRequest(request)
      for (let attempt = 1; ; attempt++) {
        const key = targetKey(await apps.findDeployed(ownerId, appId))
        try {
          return cleanAnswer(await call({ key, host }, cleaned, caller))
        } catch (error) {
          // Replaced between the lookup and the call: nothing was sent.
          if (!isRetired(error) || attempt === MAX_RETIRED) throw error
        }
      }
    },
  }
}

function isRetired(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof ScalerError && error.cause.code === 'SCALER_RETIRED'
}
