import { ENV_LIMITS, FILE_LIMITS } from '@fp/sdk/wire'
import type { RouteOptions } from 'fastify'

/**
 * Limits for the bodies of the API's requests, in bytes. A route without a limit has `small`; one that needs more names one of
 * these. So nobody can send megabytes where a name is expected.
 */
export const BODY_LIMITS = {
  /** Log-ins, names, switches. */
  small: 4 * 1024,
  /** A request to an app, made for the console. */
  call: 512 * 1024,
  /** All variables of an app. Escapes in JSON take additional room. */
  variables: 4 * ENV_LIMITS.maxBytes,
  /** All files of an app. Escapes in JSON take additional room. */
  files: 4 * FILE_LIMITS.maxTotalBytes,
} as const

/** The limit of a route. */
export function bodyLimitOf(route: Pick<RouteOptions, 'bodyLimit'>): number {
  return route.bodyLimit ?? BODY_LIMITS.small
}
