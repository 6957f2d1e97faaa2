import type { DeploymentEvent, Finding } from '@fp/sdk/wire'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { startApi, type Asked, type TestApi } from '../../../test/api.ts'
import { client } from '../api/client.ts'
import { DeploymentState } from './deployment.svelte.ts'

const DEPLOY = 'POST /api/apps/a/deploy'
const EVENTS = 'GET /api/apps/a/deployments/d/events'

let api: TestApi
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  api = await startApi()
})
afterEach(() => void vi.useRealTimers())

function open(): DeploymentState {
  const deployment = new DeploymentState('a')
  onTestFinished(() => deployment.close())
  return deployment
}

const event = (stage: DeploymentEvent['stage'], second: number, more: object = {}): DeploymentEvent => ({
  deployment_id: 'd',
  stage,
  at: `2026-01-01T00:00:0${second}.000Z`,
  ...more,
})

function send({ response }: Asked, ...events: DeploymentEvent[]): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const one of events) response.write(`event: ${one.stage}\ndata: ${JSON.stringify(one)}\n\n`)
}

const run = (deployment: DeploymentState): Promise<Finding[]> =>
  deployment.run('deploy', () => client.apps.deploy('a'))

const states = ({ progress }: DeploymentState): string[] => progress?.steps.map(({ state }) => state) ?? []

async function accept(): Promise<void> {
  const asked = await api.next(DEPLOY)
  asked.answer({ deployment_id: 'd', version: 3, warnings: [] }, 202)
}

test('follows a deployment to its end', async () => {
  const deployment = open()
  const done = run(deployment)
  expect(deployment.running).toBe(true)
  await accept()
  const stream = await api.next(EVENTS)
  send(stream, event('validating', 0), event('creating', 1), event('starting', 2), event('ready', 4))
  expect(await done).toEqual([])
  expect(deployment.progress?.outcome).toBe('ready')
  expect([deployment.version, states(deployment)]).toEqual([3, ['done', 'done', 'done', 'done']])
})

test('opens a broken stream again, and counts no event twice', async () => {
  const deployment = open()
  const done = run(deployment)
  await accept()
  const first = await api.next(EVENTS)
  send(first, event('validating', 0), event('creating', 1))
  // The client has read them when it shows them.
  await vi.waitFor(() => expect(states(deployment)[1]).toBe('active'))
  first.response.destroy()
  let again: Asked | undefined
  void api.next(EVENTS).then((asked) => (again = asked))
  // Moves the fake clock on until the client has waited long enough.
  await vi.waitFor(() => expect(again).toBeDefined())
  send(again!, event('validating', 0), event('creating', 1), event('ready', 3))
  await done
  expect(deployment.progress?.steps[0]).toMatchObject({ state: 'done', started: Date.UTC(2026, 0, 1) })
})

test('an app that does not start is a failure of the deployment, not of the call', async () => {
  const failure = {
    code: 'FP_APP_IMPORT_FAILED',
    message: 'Your app raised KeyError.',
    file: 'app.py',
    line: 2,
  }
  const deployment = open()
  const done = run(deployment)
  await accept()
  send(await api.next(EVENTS), event('starting', 1), event('failed', 2, { failure }))
  expect(await done).toEqual([])
  expect(deployment.failure).toEqual(failure)
  expect(states(deployment)).toEqual(['done', 'done', 'failed', 'waiting'])
})

test('code that is refused comes back as findings', async () => {
  const findings = [{ severity: 'error' }, { severity: 'error' }, { severity: 'warning' }]
  const deployment = open()
  const done = run(deployment)
  const refused = await api.next(DEPLOY)
  refused.refuse(422, 'FP_VALIDATION_FAILED', findings)
  expect(await done).toEqual(findings)
  expect(deployment.progress).toMatchObject({
    outcome: 'failed',
    steps: [{ state: 'failed', message: '2 errors in the code' }, {}, {}, {}],
  })
})

test('any other refusal is thrown, and no deployment runs', async () => {
  const deployment = open()
  const done = run(deployment)
  const refused = await api.next(DEPLOY)
  refused.refuse(429, 'FP_DEPLOY_LIMIT')
  await expect(done).rejects.toMatchObject({ code: 'FP_DEPLOY_LIMIT' })
  expect(deployment.progress).toBeUndefined()
})

test('follows a deployment that was running when the page was loaded', async () => {
  const deployment = open()
  const resumed = deployment.resume()
  const list = await api.next('GET /api/apps/a/deployments?limit=1')
  list.answer({ items: [{ deployment_id: 'd', kind: 'rollback', version: 2, stage: 'starting' }] })
  send(await api.next(EVENTS), event('ready', 3))
  expect(await resumed).toBe(true)
  expect([deployment.kind, deployment.version, deployment.progress?.outcome]).toEqual([
    'rollback',
    2,
    'ready',
  ])
})

test('shows the newest deployment only when it failed', async () => {
  const deployment = open()
  for (const [latest, outcome] of [
    [{ stage: 'ready' }, undefined],
    [{ stage: 'failed', kind: 'deploy', version: 4, events: [event('failed', 2)] }, 'failed'],
  ] as const) {
    const resumed = deployment.resume()
    const list = await api.next('GET /api/apps/a/deployments?limit=1')
    list.answer({ items: [latest] })
    expect(await resumed).toBe(false)
    expect(deployment.progress?.outcome).toBe(outcome)
  }
})
