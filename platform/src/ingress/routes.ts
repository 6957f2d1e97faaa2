import type { TargetKey, TargetPolicy } from '@fp/scaler'
import { DEFAULT_POLICY } from '@fp/scaler'
import { FpError } from '../errors.ts'
import type { AppChanges } from '../app-changes.ts'
import type { Route } from '../modules/app-records/directory.ts'
import { parseTargetKey } from '../runtime/targets.ts'

export interface RouteTable {
  /**
   * The target that serves an app now; at once when it is known, and is not the one that has turned out to be `retired`.
   * Rejects with FP_APP_NOT_FOUND.
   */
  keyOf(appId: string, retired?: TargetKey): TargetKey | Promise<TargetKey>
  policyOf(key: TargetKey): TargetPolicy
  /** Whose app it is; at once when that is known. An app that is gone belongs to itself. */
  ownerOf(key: TargetKey): string | Promise<string>
  close(): void
}

export interface RouteTableDeps {
  lookup(appId: string): Promise<Route | undefined>
  readonly changes: AppChanges
  /** ms, for apps that have not been looked up yet. */
  readonly defaultIdleTimeout: number
  /** Of any app; the machine's own home has one of each. */
  readonly maxReplicas?: number
}

/**
 * Apps that do not exist are asked for by scanners, in any number, and those that exist are many; this many are remembered at most.
 */
const MAX_ROUTES = 10_000

/**
 * Caches where each app's requests go. News of a switch empties the app's entry before anything is retired here; those of
 * another replica may come later than that, and then the activator tells that the target is retired.
 */
export function createRouteTable(deps: RouteTableDeps): RouteTable {
  const routes = new Map<string, Promise<Route | undefined>>()
  /** What those promises have come to: most requests need not wait for one. */
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
      // A lookup that was overtaken by a switch may have read the old target: look again.
      if (routes.get(appId) !== pending) continue
      if (!route?.key) routes.delete(appId)
      else {
        // In the turn of that look: a switch that comes now takes them away again.
        keys.set(appId, route.key)
        owners.set(appId, route.ownerId)
        // At the end, as the newest.
        policies.delete(appId)
        const { idleTimeout, maxReplicas = common.maxReplicas } = route
        policies.set(appId, { ...common, idleTimeout, maxReplicas })
        // The route with it, so that the app's next request has its policy again.
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
