import {
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Span,
  type TextMapPropagator,
  type Tracer,
} from '@opentelemetry/api'
import type { IncomingMessage } from 'node:http'
import type { ExchangeHooks, ExchangeRecord } from '../http/exchange-record.ts'

/** The default of each option is what is registered globally with the OpenTelemetry API. */
export interface TraceOptions {
  readonly tracer?: Tracer | undefined
  /** Reads the parent of a span from the request, and writes the span for the app: `traceparent`, for example. */
  readonly propagator?: Pick<TextMapPropagator, 'extract' | 'inject'> | undefined
}

/** Both hooks of `scalerProxy`. Hooks of your own must call them. */
export type TracingHooks = { readonly [K in keyof ExchangeHooks]-?: NonNullable<ExchangeHooks[K]> }

/** The methods of OpenTelemetry's semantic conventions. Others would make too many different span names. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'])

/**
 * Options of `scalerProxy` that make a span of each exchange, WebSockets too, with the attributes of OpenTelemetry's semantic
 * conventions for HTTP servers. A span continues the trace of the client, and the app continues that of the span: both get the
 * same trace in `traceparent`.
 */
export function traceExchanges(options: TraceOptions = {}): TracingHooks {
  const { tracer = trace.getTracer('@fp/scaler'), propagator = propagation } = options
  const spans = new WeakMap<IncomingMessage, Span>()
  return {
    onRequest(request) {
      const active = context.active()
      // If the embedder's own instrumentation has begun a span for the request, this one belongs to it.
      const parent = trace.getSpan(active) ? active : extract(request)
      const { method = '' } = request
      const known = METHODS.has(method)
      const attributes: Attributes = {
        'http.request.method': known ? method : '_OTHER',
        'url.path': request.url?.split('?', 1)[0] ?? '/',
        'url.scheme': 'encrypted' in request.socket ? 'https' : 'http',
        'user_agent.original': request.headers['user-agent'],
        ...serverOf(request.headers.host),
      }
      if (!known) attributes['http.request.method_original'] = method
      const span = tracer.startSpan(known ? method : 'HTTP', { kind: SpanKind.SERVER, attributes }, parent)
      spans.set(request, span)
      const headers: Record<string, string> = {}
      propagator.inject(trace.setSpan(parent, span), headers, {
        set: (carrier: Record<string, string>, name, value) => (carrier[name.toLowerCase()] = value),
      })
      return headers
    },
    onExchange(exchange) {
      const span = spans.get(exchange.request)
      if (!span) return
      const { status, error } = exchange
      span.setAttributes(attributesOf(exchange))
      // A client that leaves is no error of the server.
      if (status >= 500 || (error !== undefined && error !== 'CLIENT_GONE' && (status < 400 || status > 499)))
        span.setStatus({ code: SpanStatusCode.ERROR })
      span.end()
    },
  }

  function extract(request: IncomingMessage): ReturnType<TextMapPropagator['extract']> {
    return propagator.extract(context.active(), request.headers, {
      keys: (headers: IncomingMessage['headers']) => Object.keys(headers),
      get: (headers: IncomingMessage['headers'], name) => headers[name.toLowerCase()],
    })
  }
}

/** The name and the port that the client has used. A port that is not named is that of the scheme. */
function serverOf(host = ''): Attributes {
  const [, name, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(host) ?? []
  return {
    'server.address': name?.replace(/^\[|\]$/g, '') || undefined,
    'server.port': port ? Number(port) : undefined,
  }
}

/** An attribute that has no value is left out by OpenTelemetry. */
function attributesOf(exchange: ExchangeRecord): Attributes {
  const { key, endpoint, status, bytesIn, bytesOut, waited, firstByte, mark, error } = exchange
  const failed = error ?? (status >= 500 ? String(status) : undefined)
  return {
    'http.response.status_code': status || undefined,
    'http.request.body.size': bytesIn,
    'http.response.body.size': bytesOut,
    'error.type': failed,
    'scaler.target': key,
    'scaler.endpoint': endpoint,
    'scaler.mark': mark,
    'scaler.waited_ms': waited,
    'scaler.first_byte_ms': firstByte,
  }
}
