export { scalerProxy } from './plugin.ts'
export type { ScalerProxyOptions } from './options.ts'
export { serverTiming } from './answer-headers.ts'
export { flawOf } from './bad-request.ts'
export { closeRawIfUnread } from './linger.ts'
export { gathered } from './gathered.ts'
export { EndpointPool, type EndpointTimeouts } from './pools.ts'
export type { ExchangeLimits, LimitsOf } from './limits.ts'
export type { TrustProxy } from './origin.ts'
export type { OwnHeaders } from './request-headers.ts'
export { hostOf, routableUrl, useTargetHost } from './request-target.ts'
export type { ResolveTarget } from './session.ts'
export type { ExchangeError, ExchangeHooks, ExchangeRecord, WakeMark } from './exchange-record.ts'
export type { LoadingPage, WakeDecision, WakePolicy } from './wake.ts'
export { KNOWN_MONITORS } from './known-monitors.ts'
export {
  answerFavicon,
  answerHead,
  answerHealthChecks,
  answerMonitors,
  answerPreflight,
  answerRobots,
  fallBackTo,
  rejectAsleep,
  showLoadingPage,
  type MonitorOptions,
  type PreflightOptions,
} from './wake-policies.ts'
