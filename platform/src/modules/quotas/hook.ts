import { FpError } from '../../errors.ts'
import type { Api } from '../../api/api.ts'
import { whenClosed } from '../../front/when-closed.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
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
  /** Creates the apps of one user one after another, so that each count includes the app before. */
  const creating = new KeyedQueue()

  /** Resolves once the user's earlier creations have ended. `ended` tells when this one has. */
  async function oneMoreApp({ userId }: RequestUser, ended: Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      void creating.run(userId, () => {
        const checked = checkApps(userId)
        checked.then(resolve, reject)
        return checked.then(
          () => ended,
          () => undefined,
        )
      })
    })
  }

  async function checkApps(userId: string): Promise<void> {
    const count = await countApps(userId)
    if (count < limits.apps) return
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
    if (quota === 'app' && limits.apps > 0) {
      const ended = new Promise<void>((resolve) => whenClosed(reply.raw, resolve))
      await oneMoreApp(request.user, ended)
    }
    if (quota === 'deploy' && limits.deploysPerHour > 0) await oneMoreDeploy(request.user)
  })
}
