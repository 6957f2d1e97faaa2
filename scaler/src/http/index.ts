export { scalerProxy, type LoadingPage, type ScalerProxyOptions } from './plugin.ts'
export { serverTiming, type TrustProxy } from './headers.ts'
export { ProxySession, type ResolveTarget } from './session.ts'
