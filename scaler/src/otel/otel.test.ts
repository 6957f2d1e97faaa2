import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'
import { header } from '../../test/proxy/message.ts'
import { rawWorld, until, type RawApp } from '../../test/proxy/world.ts'
import { traceExchanges } from './index.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

async function traced(app: RawApp) {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const hooks = traceExchanges({
    tracer: provider.getTracer('test'),
    propagator: new W3CTraceContextPropagator(),
  })
  const world = await rawWorld(app, { proxy: hooks })
  return Object.assign(world, { spans: () => exporter.getFinishedSpans() })
}

test('a span continues the trace of the client, and the app continues that of the span', async () => {
  let passed: string | undefined
  let state: string | undefined
  await using world = await traced(async (wire) => {
    const request = await wire.message()
    passed = header(request, 'traceparent')
    state = header(request, 'tracestate')
    wire.send('HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello')
  })
  const client = await world.client()
  const trace = `Traceparent: 00-${TRACE}-${PARENT}-01\r\nTracestate: vendor=1\r\n`
  await client
    .send(
      `POST /a?secret HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: curl/8\r\n${trace}Content-Length: 2\r\n\r\nhi`,
    )
    .message()
  await until(() => world.spans().length === 1)
  const [span] = world.spans()
  expect(span).toMatchObject({
    name: 'POST',
    kind: SpanKind.SERVER,
    parentSpanContext: { traceId: TRACE, spanId: PARENT },
    status: { code: SpanStatusCode.UNSET },
    attributes: {
      'http.request.method': 'POST',
      'url.path': '/a',
      'url.scheme': 'http',
      'server.address': 'a.example',
      'server.port': 8080,
      'user_agent.original': 'curl/8',
      'http.response.status_code': 201,
      'http.request.body.size': 2,
      'http.response.body.size': 5,
      'scaler.target': 'app',
      'scaler.endpoint': 'app-1',
      'scaler.mark': 'warm',
    },
  })
  expect(passed).toBe(`00-${TRACE}-${span!.spanContext().spanId}-01`)
  expect(state).toBe('vendor=1')
  expect(JSON.stringify(span!.attributes)).not.toContain('secret')
})

test('without a trace of the client a new one begins, and a failed exchange is an error of the span', async () => {
  let passed: string | undefined
  await using world = await traced(async (wire) => {
    passed = header(await wire.message(), 'traceparent')
    wire.socket.end()
  })
  await (await world.client()).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').message()
  await until(() => world.spans().length === 1)
  const [span] = world.spans()
  expect(span).toMatchObject({
    parentSpanContext: undefined,
    status: { code: SpanStatusCode.ERROR },
    attributes: { 'http.response.status_code': 502, 'error.type': 'SCALER_UPSTREAM_RESET' },
  })
  const { traceId, spanId } = span!.spanContext()
  expect(passed).toBe(`00-${traceId}-${spanId}-01`)
})

test('a WebSocket has a span until it is closed', async () => {
  await using world = await traced(async (wire) => {
    await wire.until('\r\n\r\n')
    await wire.flush('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await wire.rest()
    wire.socket.end()
  })
  const client = await world.client()
  client.send(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await client.until('\r\n\r\n')
  expect(world.spans()).toEqual([])
  client.close()
  await until(() => world.spans().length === 1)
  expect(world.spans()[0]).toMatchObject({ attributes: { 'http.response.status_code': 101 } })
})
