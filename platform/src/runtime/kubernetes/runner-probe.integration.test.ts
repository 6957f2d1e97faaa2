import { FakeClock } from '@fp/scaler/fake'
import type { V1Pod } from '@kubernetes/client-node'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { asFailure, createRunnerProbe } from './failures.ts'

const POD: V1Pod = { metadata: { name: 'x', uid: 'u' } }
let server: ReturnType<typeof createServer>
let respond: (response: ServerResponse) => void
let asked: string[]
let waiting: V1Pod[]

beforeEach(async () => {
  asked = []
  waiting = []
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    respond(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

function probe(clock?: FakeClock): ReturnType<ReturnType<typeof createRunnerProbe>> {
  const address = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const ask = createRunnerProbe((pod) => void waiting.push(pod), clock)
  return ask(address, AbortSignal.timeout(20_000), POD)
}

test('a ready pod reports its phases', async () => {
  respond = (response) =>
    response
      .writeHead(204, { 'server-timing': 'interpreter;dur=12.5, imported;dur=200, ready;dur=240' })
      .end()
  expect(await probe()).toEqual({
    ready: true,
    phases: [
      { name: 'interpreter', at: 12.5 },
      { name: 'imported', at: 200 },
      { name: 'ready', at: 240 },
    ],
  })
  expect(asked).toEqual(['GET /_fp/ready'])
})

test('a pod without phases is ready too', async () => {
  respond = (response) => response.writeHead(204).end()
  expect(await probe()).toEqual({ ready: true })
})

test('a failed pod reports the reason', async () => {
  const report = { code: 'FP_APP_STARTUP_FAILED', message: 'No', traceback: 'Trace', file: 'app.py', line: 7 }
  respond = (response) => response.writeHead(500).end(JSON.stringify(report))
  expect(await probe()).toEqual({ ready: false, failure: asFailure(report) })
})

test.each([
  [500, 'Internal Server Error'],
  [500, '{"ok":true}'],
  [404, '{"code":"X","message":"not the runner"}'],
  [200, 'hello'],
  [503, ''],
])('%s %s is no answer of the runner: it is asked again', async (status, text) => {
  respond = (response) => response.writeHead(status).end(text)
  expect(await probe()).toEqual({ ready: false })
  expect(waiting).toEqual([])
})

test('a pod that waits for its start request is reported', async () => {
  respond = (response) => response.writeHead(409).end('{"code":"FP_POD_WAITING","message":"It waits."}')
  expect(await probe()).toEqual({ ready: false })
  expect(waiting).toEqual([POD])
})

test('a probe without an answer ends, so that the pod is asked again', async () => {
  const clock = new FakeClock()
  respond = () => undefined
  const answer = probe(clock)
  answer.catch(() => undefined)
  await expect.poll(() => asked).toHaveLength(1)
  await clock.advance(5_000)
  await expect(answer).rejects.toThrow('aborted')
  respond = (response) => response.writeHead(204).end()
  expect(await probe(clock)).toEqual({ ready: true })
  expect(clock.pending).toBe(0)
})

test('a probe of a missing pod rejects', async () => {
  respond = (response) => void response.destroy()
  await expect(probe()).rejects.toThrow()
})
