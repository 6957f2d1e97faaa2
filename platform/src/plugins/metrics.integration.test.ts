import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestPlatform, type TestPlatform } from '../../test/platform.ts'

const TOKEN = 'a-token-of-24-characters'
const FILES = {
  'app.py':
    'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef hello():\n    return "hello"\n',
}

let test: TestPlatform
beforeAll(async () => {
  test = await startTestPlatform({ FP_METRICS_TOKEN: TOKEN })
})
afterAll(() => test[Symbol.asyncDispose]())

/** The value of one series. */
async function read(series: string): Promise<number> {
  const answer = await test.request('GET', '/metrics', { token: TOKEN })
  expect(answer.status).toBe(200)
  const line = answer.text.split('\n').find((it) => it.startsWith(`${series} `))
  return Number(line?.slice(series.length))
}

/** Sends a request like a visitor of the app. */
async function visit(appId: string, path: string, headers: object = {}): Promise<[number, string]> {
  const { port, appDomain } = test.platform.config
  const sent = request({
    port,
    host: '127.0.0.1',
    path,
    headers: { host: `app-${appId}.${appDomain}`, ...headers },
  })
  const [response] = await once(sent.end(), 'response')
  return [response.statusCode, await text(response)]
}

it('a visit that wakes an app is counted, and the app’s host shows no metrics', async () => {
  const user = await test.user()
  const app = (await user.request('POST', '/api/apps', { name: 'app', files: FILES })).body.app_id
  const { deployment_id } = (await user.request('POST', `/api/apps/${app}/deploy`, {})).body
  // The events end with the deployment, which also wakes the app.
  await user.request('GET', `/api/apps/${app}/deployments/${deployment_id}/events`)
  expect(await read('fp_cold_starts_total{outcome="ready"}')).toBe(1)
  expect(await read('fp_targets{phase="awake"}')).toBe(1)
  expect(await read('fp_endpoints')).toBe(1)

  expect((await user.request('POST', `/api/apps/${app}/sleep`)).status).toBe(200)
  expect(await read('fp_endpoints')).toBe(0)
  expect(await visit(app, '/')).toEqual([200, '"hello"'])
  expect(await read('fp_cold_starts_total{outcome="ready"}')).toBe(2)
  expect(await read('fp_cold_start_duration_seconds_count')).toBe(2)
  expect(await read('fp_queue_wait_seconds_count{cold="true"}')).toBe(2)

  // A person's visit, to which a wake policy applies.
  expect((await user.request('POST', `/api/apps/${app}/sleep`)).status).toBe(200)
  await visit(app, '/', { accept: 'text/html' })
  expect(await read('fp_wake_decisions_total{action="page"}')).toBe(1)

  // The app itself answers.
  expect(await visit(app, '/metrics', { authorization: `Bearer ${TOKEN}` })).toEqual([
    404,
    '{"detail":"Not Found"}',
  ])
})

it('nobody reads without the token', async () => {
  const answer = await test.request('GET', '/metrics')
  expect([answer.status, answer.body.code]).toEqual([401, 'FP_UNAUTHENTICATED'])
})

it('is not in the OpenAPI document', async () => {
  const { body } = await test.request('GET', '/api/openapi.json')
  expect(Object.keys(body.paths)).not.toContain('/metrics')
})
