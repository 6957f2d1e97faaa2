import { DeployAccepted, DeployBody, Deployment, Page, PageQuery, RollbackBody } from '@fp/sdk/wire'
import { Type } from 'typebox'
import type { Api } from '../../api/api.ts'
import { BODY_LIMITS } from '../../plugins/body-limits.ts'
import { clientGone } from '../client-gone.ts'
import { optionalBody } from '../optional-body.ts'
import { pageRequest, toPage } from '../paging.ts'
import { AppParams, DeploymentParams } from '../params.ts'
import type { Accepted, DeploymentService } from './service.ts'
import { createStreamLimit } from '../../front/stream-limit.ts'
import { whenClosed } from '../../front/when-closed.ts'
import { eventStream, type ServerSentEvent } from '../sse.ts'
import { deploymentToWire, eventToWire } from './wire.ts'

const tags = ['deployments']

/** What a browser's EventSource sends when it connects again. */
const LastEventId = Type.Object({ 'last-event-id': Type.Optional(Type.String({ maxLength: 20 })) })

export function registerDeploymentRoutes(app: Api, deps: { deployments: DeploymentService }): void {
  const { deployments } = deps
  const streams = createStreamLimit()

  app.post(
    '/api/apps/:app_id/deploy',
    {
      bodyLimit: BODY_LIMITS.files,
      preValidation: optionalBody,
      config: { cost: 5, quota: 'deploy' },
      schema: {
        tags,
        operationId: 'deployApp',
        summary: 'Deploy the draft, or these files',
        description:
          'Answers once the code is validated and stored as a version; FP_VALIDATION_FAILED lists every finding in the details. Follow the rest at the deployment’s events. Until the new version answers, the old one serves.',
        params: AppParams,
        body: DeployBody,
        response: { 202: DeployAccepted },
      },
    },
    async (request, reply) => {
      const { files } = request.body
      const accepted = await deployments.deploy(
        request.user.userId,
        request.params.app_id,
        files,
        clientGone(reply),
      )
      return reply.code(202).send(acceptedToWire(accepted))
    },
  )

  app.post(
    '/api/apps/:app_id/rollback',
    {
      config: { cost: 3, quota: 'deploy' },
      schema: {
        tags,
        operationId: 'rollbackApp',
        summary: 'Make a kept version live again',
        description: 'A deployment like any other, of a version that exists. The draft is not touched.',
        params: AppParams,
        body: RollbackBody,
        response: { 202: DeployAccepted },
      },
    },
    async (request, reply) => {
      const { version } = request.body
      const accepted = await deployments.rollback(request.user.userId, request.params.app_id, version)
      return reply.code(202).send(acceptedToWire(accepted))
    },
  )

  app.get(
    '/api/apps/:app_id/deployments',
    {
      schema: {
        tags,
        operationId: 'listDeployments',
        summary: 'Deployments, newest first',
        params: AppParams,
        querystring: PageQuery,
        response: { 200: Page(Deployment) },
      },
    },
    async (request) => {
      const page = pageRequest('deployments', request.query)
      const found = await deployments.list(request.user.userId, request.params.app_id, page)
      return toPage('deployments', page, found, (deployment) => deployment.order, deploymentToWire)
    },
  )

  app.get(
    '/api/apps/:app_id/deployments/:deployment_id',
    {
      schema: {
        tags,
        operationId: 'getDeployment',
        summary: 'A deployment with its events',
        params: DeploymentParams,
        response: { 200: Deployment },
      },
    },
    async (request) => {
      const { app_id: appId, deployment_id: deploymentId } = request.params
      return deploymentToWire(await deployments.find(request.user.userId, appId, deploymentId))
    },
  )

  app.get(
    '/api/apps/:app_id/deployments/:deployment_id/events',
    {
      schema: {
        tags,
        operationId: 'watchDeployment',
        summary: 'Follow a deployment',
        description:
          'Server-sent events: those that were, then those that come, until `ready` or `failed`. `event` is the stage, `data` a DeploymentEvent, `id` its number; `Last-Event-ID` continues after it.',
        params: DeploymentParams,
        headers: LastEventId,
        response: {
          200: {
            description: 'DeploymentEvents',
            content: { 'text/event-stream': { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) => {
      const { app_id: appId, deployment_id: deploymentId } = request.params
      // Errors that are answered as JSON are thrown here, before the stream begins.
      await deployments.find(request.user.userId, appId, deploymentId)
      whenClosed(reply.raw, streams.open(request.user.userId))
      const after = Number(request.headers['last-event-id'] ?? 0)
      const stream = eventStream((signal) => {
        const items = deployments.follow(appId, deploymentId, {
          after: Number.isInteger(after) ? after : 0,
          signal,
        })
        return toEvents(deploymentId, items)
      })
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream')
      return reply.send(stream as never)
    },
  )
}

async function* toEvents(
  deploymentId: string,
  items: ReturnType<DeploymentService['follow']>,
): AsyncGenerator<ServerSentEvent> {
  for await (const { number, event } of items) {
    yield { id: String(number), event: event.stage, data: eventToWire(deploymentId, event) }
  }
}

function acceptedToWire({ deployment, warnings }: Accepted): DeployAccepted {
  return { deployment_id: deployment.deploymentId, version: deployment.version, warnings }
}
