import type { TargetKey, TargetPolicy } from '@fp/scaler'
import { DEFAULT_POLICY } from '@fp/scaler'
import { FpError } from '../errors.ts'
import type { Events } from '../events.ts'
import { parseTargetKey } from '../runtime/targets.ts'

/** What the front door must know of an app. */
export interface Route {
  readonly appId: string
  /** Null until its first deploy. */
  readonly key: TargetKey | null
  /** ms */
  readonly idleTimeout: number
}

export interface RouteTable {
  /** The target that serves an app now. Rejects with FP_APP_NOT_FOUND. */
  keyOf(appId: string): Promise<TargetKey>
  policyOf(key: TargetKey): TargetPolicy
  close(): void
}

export interface RouteTableDeps {
  lookup(appId: string): Promise<Route | undefined>
  readonly events: Events
  /** ms, for apps that have not been looked up yet. */
  readonly defaultIdleTimeout: number
}

/** Apps that do not exist are asked for by scanners, in any number; this many are remembered at most. */
const MAX_ROUTES = 10_000

/** Caches where each app's requests go. News of a switch empties the app's entry before anything is retired. */
export function createRouteTable(deps: RouteTableDeps): RouteTable {
  const routes = new Map<string, Promise<Route | undefined>>()
  const idleTimeouts = new Map<string, number>()

  const forget = ({ appId }: { appId: string }): void => void routes.delete(appId)
  const forgetAll = ({ appId }: { appId: string }): void => {
    routes.delete(appId)
    idleTimeouts.delete(appId)
  }
  deps.events.on('app.routed', forget)
  deps.events.on('app.deleted', forgetAll)

  async function find(appId: string): Promise<Route | undefined> {
    for (;;) {
      let pending = routes.get(appId)
      if (!pending) {
        if (routes.size >= MAX_ROUTES) routes.clear()
        routes.set(appId, (pending = deps.lookup(appId)))
        pending.catch(() => routes.delete(appId))
      }
      const route = await pending
      // A lookup that was overtaken by a switch may have read the old target: look again.
      if (routes.get(appId) !== pending) continue
      if (!route?.key) routes.delete(appId)
      return route
    }
  }

  return {
    async keyOf(appId) {
      const route = await find(appId)
      if (!route) throw new FpError('FP_APP_NOT_FOUND', 'There is no app at this address.')
      if (!route.key) throw new FpError('FP_APP_NOT_FOUND', 'Nothing has been deployed at this address yet.')
      idleTimeouts.set(appId, route.idleTimeout)
      return route.key
    },
    policyOf(key) {
      const idleTimeout = idleTimeouts.get(parseTargetKey(key).appId) ?? deps.defaultIdleTimeout
      return { ...DEFAULT_POLICY, idleTimeout }
    },
    close() {
      deps.events.off('app.routed', forget)
      deps.events.off('app.deleted', forgetAll)
    },
  }
}
