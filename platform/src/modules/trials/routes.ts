import { ValidateAnswer, ValidateBody } from '@fp/sdk/wire'
import type { Api } from '../../api/api.ts'
import { failureToWire } from '../app-records/wire.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { clientGone } from '../client-gone.ts'
import type { TrialService } from './service.ts'

export function registerTrialRoutes(app: Api, deps: { trials: TrialService; now: () => Date }): void {
  app.post(
    '/api/validate',
    {
      bodyLimit: BODY_LIMITS.files,
      config: { cost: 5 },
      schema: {
        tags: ['deployments'],
        operationId: 'validate',
        summary: 'Check code without keeping it',
        description:
          'All findings at once. With `dry_load`, code without errors is also imported in the sandbox, with your database and no environment variables.',
        body: ValidateBody,
        response: { 200: ValidateAnswer },
      },
    },
    async (request, reply) => {
      const { findings, entrypoint, failure } = await deps.trials.run(
        request.user.userId,
        request.body,
        clientGone(reply),
      )
      return {
        valid: failure === null && !findings.some((finding) => finding.severity === 'error'),
        findings,
        entrypoint,
        failure: failure && failureToWire({ ...failure, at: deps.now() }),
      }
    },
  )
}
