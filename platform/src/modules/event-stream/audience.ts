import type { Change } from './change-log.ts'

/** A change with the user that it concerns. */
export interface Addressed {
  readonly userId: string
  readonly appId: string
  readonly deploymentId?: string
}

export interface AudienceDeps {
  appOfDeployment(deploymentId: string): Promise<string | undefined>
  /** The owner of an app, also of one that is being deleted. */
  ownerOf(appId: string): Promise<string | undefined>
}

/** How many ids are remembered. */
const MOST = 10_000

/** Finds the user that a change concerns. Each app and deployment is looked up once, however many streams are open. */
export function createAudience(deps: AudienceDeps): (change: Change) => Promise<Addressed | undefined> {
  const ownerOf = remembered(deps.ownerOf)
  const appOf = remembered(deps.appOfDeployment)
  return async (change) => {
    const deployment = 'deploymentId' in change ? change : {}
    const appId = 'appId' in change ? change.appId : await appOf(change.deploymentId)
    const userId = appId && (await ownerOf(appId))
    return userId ? { userId, appId, ...deployment } : undefined
  }
}

/** Remembers what was found. What was not found may exist soon. */
function remembered(
  find: (id: string) => Promise<string | undefined>,
): (id: string) => Promise<string | undefined> {
  const known = new Map<string, Promise<string | undefined>>()
  return (id) => {
    const before = known.get(id)
    if (before) return before
    if (known.size >= MOST) known.clear()
    const found = find(id)
    known.set(id, found)
    const forget = (): void => void known.delete(id)
    found.then((value) => value ?? forget(), forget)
    return found
  }
}
