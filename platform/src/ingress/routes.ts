import type { TargetKey, TargetPolicy } from '@fp/scaler'
import { DEFAULT_POLICY } from '@fp/scaler'
import { FpError } from '../errors.ts'
import type { AppChanges } from '../app-changes.ts'
import type { Route } from '../modules/app-records/directory.ts'
import { parseTargetKey } from '../runtime/targets.ts'

export interface RouteTable {
  /**
   * The target that serves an app now. Not a promise if it is known and is not `retired`, which has turned out to be retired.
   * Rejects with FP_APP_NOT_FOUND.
   */
  keyOf(appId: string, retired?: TargetKey): TargetKey | Promise<TargetKey>
  policyOf(key: TargetKey): TargetPolicy
  /** The app's owner; not a promise if it is known. For an app that no longer exists, the app's own id. */
  ownerOf(key: TargetKey): string | Promise<string>
  close(): void
}

export interface RouteTableDeps {
  lookup(appId: string): Promise<Route | undefined>
  readonly changes: AppChanges
  /** ms, for apps that have not been looked up yet. */
  readonly defaultIdleTimeout: number
  /** Limit for the replicas of any app. Default: 1, as in the local runtime. */
  readonly maxReplicas?: number
}

/**
 * How many apps are cached. Scanners request any number of apps that do not exist, and there may be many that do.
 */
const MAX_ROUTES = 10_000

/**
 * Caches where each app's requests go. A change by this replica clears the app's entry before a target is retired. A change
 * by another replica may be noticed later. Then the activator reports that the target is retired.
 */
export function createRouteTable(deps: RouteTableDeps): RouteTable {
  const routes = new Map<string, Promise<Route | undefined>>()
  /** The results of these promises, so that most requests need not await one. */
  const keys = new Map<string, TargetKey>()
  const policies = new Map<string, TargetPolicy>()
  /** An app's owner never changes. */
  const owners = new Map<string, string>()
  const common = { ...DEFAULT_POLICY, maxReplicas: deps.maxReplicas ?? 1 }
  const defaultPolicy: TargetPolicy = { ...common, idleTimeout: deps.defaultIdleTimeout }

  const forget = ({ appId }: { appId: string }): void => {
    routes.delete(appId)
    keys.delete(appId)
  }
  const forgetAll = ({ appId }: { appId: string }): void => {
    forget({ appId })
    policies.delete(appId)
    owners.delete(appId)
  }
  const forgetRoutes = (): void => {
    routes.clear()
    keys.clear()
  }
  deps.changes.on('lost', forgetRoutes)
  deps.changes.on('routed', forget)
  deps.changes.on('deleted', forgetAll)

  async function find(appId: string): Promise<Route | undefined> {
    for (;;) {
      let pending = routes.get(appId)
      if (!pending) {
        if (routes.size >= MAX_ROUTES) forgetRoutes()
        const asked = deps.lookup(appId)
        routes.set(appId, (pending = asked))
        asked.catch(() => routes.get(appId) === asked && routes.delete(appId))
      }
      const route = await pending
      // If the entry was cleared meanwhile, the lookup may have read the old target. Look again.
      if (routes.get(appId) !== pending) continue
      if (!route?.key) routes.delete(appId)
      else {
        // Set without an await after that check, so that a later change clears them again.
        keys.set(appId, route.key)
        owners.set(appId, route.ownerId)
        // Moved to the end of the map as the newest one.
        policies.delete(appId)
        const { idleTimeout, maxReplicas = common.maxReplicas } = route
        policies.set(appId, { ...common, idleTimeout, maxReplicas })
        // Removes the route too, so that the app's next request sets its policy again.
        if (policies.size > MAX_ROUTES) forgetAll({ appId: policies.keys().next().value! })
      }
      return route
    }
  }

  async function findOwner(appId: string): Promise<string> {
    const ownerId = (await deps.lookup(appId))?.ownerId
    if (ownerId === undefined) return appId
    if (owners.size >= MAX_ROUTES) owners.clear()
    owners.set(appId, ownerId)
    return ownerId
  }

  async function look(appId: string): Promise<TargetKey> {
    const route = await find(appId)
    if (!route) throw new FpError('FP_APP_NOT_FOUND', 'There is no app at this address.')
    if (!route.key) throw new FpError('FP_APP_NOT_FOUND', 'Nothing has been deployed at this address yet.')
    return route.key
  }

  return {
    keyOf(appId, retired) {
      const known = keys.get(appId)
      if (known === undefined) return look(appId)
      if (known !== retired) return known
      forget({ appId })
      return look(appId)
    },
    ownerOf(key) {
      const { appId } = parseTargetKey(key)
      return owners.get(appId) ?? findOwner(appId)
    },
    policyOf: (key) => policies.get(parseTargetKey(key).appId) ?? defaultPolicy,
    close() {
      deps.changes.off('lost', forgetRoutes)
      deps.changes.off('routed', forget)
      deps.changes.off('deleted', forgetAll)
    },
  }
}
