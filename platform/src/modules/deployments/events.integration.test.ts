import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'

let bench: ModulesBench
let ann: Requests
let origin: string

beforeAll(async () => {
  bench = await modulesBench()
  ann = bench.as('u_ann')
  origin = await bench.api.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => bench[Symbol.asyncDispose]())
beforeEach(() => void (bench.targets.hold = true))

async function deploying(): Promise<{ at: string; wake: Awaited<ReturnType<typeof bench.targets.next>> }> {
  const app = (await ann('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id
  const id = (await ann('POST', `/api/apps/${app}/deploy`, {})).body.deployment_id
  return { at: `/api/apps/${app}/deployments/${id}/events`, wake: await bench.targets.next() }
}

function open(at: string, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(origin + at, {
    headers: { authorization: 'Bearer u_ann', ...headers },
    ...(signal && { signal }),
  })
}

const stages = (text: string): string[] => [...text.matchAll(/^event: (.*)$/gm)].map((match) => match[1]!)

test('a watcher gets past events, then new ones, and the stream ends with the last', async () => {
  const { at, wake } = await deploying()
  const response = await open(at)
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  expect(response.headers.get('cache-control')).toBe('no-store')
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!text.includes('event: starting')) text += (await reader.read()).value ?? ''
  wake.succeed()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    text += value
  }
  expect(stages(text)).toEqual(['validating', 'creating', 'starting', 'ready'])
  expect([...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1])).toEqual(['1', '2', '3', '4'])
  const data = JSON.parse(/^data: (.*)$/m.exec(text)![1]!)
  expect(data).toMatchObject({ deployment_id: at.split('/')[5], stage: 'validating', at: expect.any(String) })
})

test('Last-Event-ID continues after that event; a finished deployment is replayed and ends', async () => {
  const { at, wake } = await deploying()
  const early = open(at, { 'last-event-id': '2' }).then((response) => response.text())
  wake.fail({ code: 'FP_APP_CRASHED', message: 'm', traceback: 't', file: 'app.py', line: 1 })
  expect(stages(await early)).toEqual(['starting', 'failed'])
  expect(stages(await (await open(at, { 'last-event-id': '3' })).text())).toEqual(['failed'])
  expect(stages(await (await open(at, { 'last-event-id': '4' })).text())).toEqual([])
  expect(stages(await (await open(at, { 'last-event-id': 'x' })).text())).toHaveLength(4)
  expect(await (await open(at)).text()).toContain('"traceback":"t"')
})

test('the progress of the app’s start is reported, each message once, only for this start', async () => {
  const { at, wake } = await deploying()
  const [appId, version, revision] = wake.key.split('.')
  const target = { appId: appId!, version: Number(version), revision: Number(revision) }
  const tell = (message: string, other: object = {}): void =>
    void bench.events.emit('app.progress', { ...target, userId: 'u_ann', ...other, message })
  tell('The node fetches the image.')
  tell('The node fetches the image.')
  tell('of another version', { version: 99 })
  tell('of another app', { appId: 'other' })
  tell('The node has the image.')
  await expect.poll(async () => (await ann('GET', at.replace('/events', ''))).body.events).toHaveLength(5)
  wake.succeed()
  const { events } = await open(at)
    .then((response) => response.text())
    .then(async () => (await ann('GET', at.replace('/events', ''))).body)
  const told = events.map(({ stage, message }: { stage: string; message?: string }) => message ?? stage)
  expect(told).toEqual([
    'validating',
    'creating',
    'starting',
    'The node fetches the image.',
    'The node has the image.',
    'ready',
  ])
  tell('too late')
  expect((await ann('GET', at.replace('/events', ''))).body.events).toHaveLength(6)
})

test('a watcher that disconnects leaves no listener behind', async () => {
  const { at, wake } = await deploying()
  const gone = new AbortController()
  const response = await open(at, {}, gone.signal)
  const reader = response.body!.getReader()
  await reader.read()
  expect(bench.services.deployments.watchers()).toBe(1)
  gone.abort()
  await reader.read().catch(() => undefined)
  await expect.poll(() => bench.services.deployments.watchers()).toBe(0)
  wake.succeed()
})

test('an unknown deployment is answered as JSON, not as a stream', async () => {
  const app = (await ann('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id
  const response = await open(`/api/apps/${app}/deployments/d_none/events`)
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({ code: 'FP_DEPLOYMENT_NOT_FOUND' })
})
