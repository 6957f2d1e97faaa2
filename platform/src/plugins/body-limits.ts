import { ENV_LIMITS, FILE_LIMITS } from '@fp/sdk/wire'
import type { RouteOptions } from 'fastify'

/**
 * The most bytes that a body of the API may have. A route that says nothing takes SMALL; one that takes more names one of
 * these, so that nobody gets to send megabytes where a name is expected.
 */
export const BODY_LIMITS = {
  /** Log-ins, names, switches. */
  small: 4 * 1024,
  /** A request to an app, made for the console. */
  call: 512 * 1024,
  /** All variables of an app: what is escaped in JSON takes more room. */
  variables: 4 * ENV_LIMITS.maxBytes,
  /** All files of an app: what is escaped in JSON takes more room than it has in the file. */
  files: 4 * FILE_LIMITS.maxTotalBytes,
} as const

/** Of a route as the API lists it. */
export function bodyLimitOf(route: Pick<RouteOptions, 'bodyLimit'>): number {
  return route.bodyLimit ?? BODY_LIMITS.small
}
