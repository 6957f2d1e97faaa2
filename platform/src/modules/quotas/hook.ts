import { FpError } from '../../errors.ts'
import type { Api } from '../../api/api.ts'
import { whenClosed } from '../../front/when-closed.ts'
import type { RequestUser } from '../../plugins/auth.ts'

export interface QuotaLimits {
  /** Apps of one user. 0 means no limit, here and below. */
  readonly apps: number
  /** Deploys and rollbacks of one user within an hour. */
  readonly deploysPerHour: number
}

export interface QuotaDeps {
  readonly limits: QuotaLimits
  countApps(userId: string): Promise<number>
  /** Counts one more deploy in the user's window of `window` ms. */
  countDeploy(userId: string, window: number): Promise<{ count: number; resetsAt: Date }>
  readonly now: () => Date
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The quota that a request to this route counts for. */
    quota?: 'app' | 'deploy'
  }
}

const HOUR = 60 * 60_000

/** Enforces the limits for each user, except for admins. Checks them after the request's validation and before its handler. */
export function registerQuotas(app: Api, { limits, countApps, countDeploy, now }: QuotaDeps): void {
  /** How many apps of each user are being created now. `countApps` does not include them. */
  const making = new Map<string, number>()

  async function oneMoreApp({ userId }: RequestUser): Promise<() => void> {
    const before = making.get(userId) ?? 0
    making.set(userId, before + 1)
    const done = (): void => {
      const left = making.get(userId)! - 1
      if (left > 0) making.set(userId, left)
      else making.delete(userId)
    }
    const count = await countApps(userId).catch((error: unknown) => {
      done()
      throw error
    })
    if (count + before < limits.apps) return done
    done()
    throw new FpError(
      'FP_APP_LIMIT',
      `You have ${count} apps, and at most ${limits.apps} are allowed. Delete one that you no longer need, or ask the admin for more.`,
      { details: { count, limit: limits.apps } },
    )
  }

  async function oneMoreDeploy({ userId }: RequestUser): Promise<void> {
    const { count, resetsAt } = await countDeploy(userId, HOUR)
    if (count <= limits.deploysPerHour) return
    const seconds = Math.max(1, Math.ceil((resetsAt.getTime() - now().getTime()) / 1000))
    throw new FpError(
      'FP_DEPLOY_LIMIT',
      `You have deployed ${limits.deploysPerHour} times within an hour, and no more is allowed. Deploy again in ${Math.ceil(seconds / 60)} minutes, or ask the admin for more.`,
      { headers: { 'retry-after': String(seconds) }, details: { limit: limits.deploysPerHour } },
    )
  }

  app.addHook('preHandler', async (request, reply) => {
    const { quota } = request.routeOptions.config
    if (quota === undefined || request.user.role === 'admin') return
    if (quota === 'app' && limits.apps > 0) whenClosed(reply.raw, await oneMoreApp(request.user))
    if (quota === 'deploy' && limits.deploysPerHour > 0) await oneMoreDeploy(request.user)
  })
}
