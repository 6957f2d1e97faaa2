import { request as httpRequest, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { PassThrough, Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { FpError } from '../../errors.ts'
import type { PlatformEvent } from '../../events.ts'
import type { AppAnswer, AppRequest, Gate } from '../gate.ts'
import { receiveError } from './errors.ts'
import {
  CALL_HEADER,
  CALL_PATH,
  EVENTS_PATH,
  type Answer,
  type CallAnswer,
  type CallHead,
  type MethodName,
  type Methods,
} from './protocol.ts'
import { awaitListener, createSocketAgent } from './socket-agent.ts'

/** How long a request to a gate that restarts waits for it, ms. */
const PATIENCE = 15_000
/** How long the first one waits, ms: the gate may wait for its database, and then starts the runner. */
const START_PATIENCE = 150_000
/** Between two attempts to listen for events, ms. */
const RETRY = 200

export interface GateClient extends Gate, AsyncDisposable {}

export interface ConnectOptions {
  readonly onError: (error: Error) => void
  /** For the gate's start, ms. */
  readonly startPatience?: number
}

/** The gate of another process of this machine. Resolves once that process answers, and rejects when it never does. */
export async function connectGate(
  path: string,
  { onError, startPatience = START_PATIENCE }: ConnectOptions,
): Promise<GateClient> {
  await awaitListener({ path, patience: startPatience }).catch((error: Error) => {
    throw new Error(
      `The gate has not started within ${startPatience / 1000} s: nobody listens at ${path}. Its own log says why.`,
      { cause: error },
    )
  })
  const agent = createSocketAgent({ path, patience: PATIENCE })
  const listeners = new Set<(event: PlatformEvent) => void>()
  const closed = new AbortController()

  function send(
    method: 'GET' | 'POST',
    target: string,
    options: { body?: string | Readable; headers?: Record<string, string>; signal?: AbortSignal | undefined },
  ): Promise<IncomingMessage> {
    const { body, headers, signal } = options
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const length = typeof body === 'string' ? { 'content-length': String(Buffer.byteLength(body)) } : {}
      const sent = httpRequest(
        {
          agent,
          path: target,
          method,
          headers: { host: 'gate', ...length, ...headers },
          ...(signal && { signal }),
        },
        resolve,
      )
      sent.on('error', (error) => reject(signal?.aborted ? (signal.reason as Error) : restarting(error)))
      if (body instanceof Readable) body.pipe(sent)
      else sent.end(body)
    })
  }

  async function ask<N extends MethodName>(
    name: N,
    args: Parameters<Methods[N]>,
    signal?: AbortSignal,
  ): Promise<ReturnType<Methods[N]>> {
    const response = await send('POST', `/${name}`, { body: JSON.stringify(args), signal })
    const answer = (await json(response).catch((error: Error) => {
      throw signal?.aborted ? (signal.reason as Error) : restarting(error)
    })) as Answer
    if ('error' in answer) throw receiveError(answer.error)
    return answer.result as ReturnType<Methods[N]>
  }

  async function call(
    { body, ...rest }: AppRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<AppAnswer> {
    const head = Buffer.from(JSON.stringify(rest satisfies CallHead)).toString('base64url')
    const response = await send('POST', CALL_PATH, {
      ...(body !== undefined && { body }),
      headers: { [CALL_HEADER]: head },
      signal,
    })
    const answer = await firstLine(response)
    if ('error' in answer.head) throw receiveError(answer.head.error)
    return { ...answer.head, body: answerBody(response, answer.rest, signal) }
  }

  /** Listens until the client is closed. What happens while the gate restarts is not heard of. */
  async function listen(): Promise<void> {
    while (!closed.signal.aborted) {
      try {
        const response = await send('GET', EVENTS_PATH, { signal: closed.signal })
        for await (const line of createInterface({ input: response })) {
          const event = JSON.parse(line) as PlatformEvent
          for (const listener of [...listeners]) listener(event)
        }
      } catch (error) {
        if (!closed.signal.aborted) onError(error as Error)
      }
      await delay(RETRY, undefined, { signal: closed.signal, ref: false }).catch(() => undefined)
    }
  }

  const facts = await ask('facts', [])
  const listening = listen()
  return {
    facts,
    targets: {
      wake: (key, { signal } = {}) => ask('wake', [key], signal),
      sleep: (key) => ask('sleep', [key]),
      retire: (key) => ask('retire', [key]),
      phases: (keys) => ask('phases', [keys]),
    },
    trial: { check: (spec, { signal }) => ask('check', [spec], signal) },
    logs: {
      tail: (appId, { lines }) => ask('logTail', [appId, lines]),
      note: (appId, text) => ask('logNote', [appId, text]),
    },
    cleanup: { removeApp: (appId) => ask('removeApp', [appId]) },
    forgetRoute: (appId) => ask('forgetRoute', [appId]),
    storageProblem: async () => (await ask('storageProblem', [])) ?? undefined,
    call,
    status: () => ask('status', []),
    metrics: () => ask('metrics', []),
    onEvent(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    async [Symbol.asyncDispose]() {
      closed.abort()
      await listening
      agent.destroy()
    },
  }
}

/** The head of the answer to a call, and the bytes of the body that came with it. */
async function firstLine(response: IncomingMessage): Promise<{ head: CallAnswer; rest: Buffer }> {
  let bytes = Buffer.alloc(0)
  for (;;) {
    const end = bytes.indexOf(0x0a)
    if (end >= 0) {
      return {
        head: JSON.parse(bytes.subarray(0, end).toString()) as CallAnswer,
        rest: bytes.subarray(end + 1),
      }
    }
    const chunk = (response.read() as Buffer | null) ?? (await nextChunk(response))
    bytes = Buffer.concat([bytes, chunk])
  }
}

function nextChunk(response: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      response.off('readable', onReadable).off('close', onClose).off('error', onClose)
    }
    const onReadable = (): void => {
      const chunk = response.read() as Buffer | null
      if (chunk === null) return
      stop()
      resolve(chunk)
    }
    const onClose = (): void => {
      stop()
      reject(restarting(new Error('The answer ended before its head.')))
    }
    response.on('readable', onReadable).once('close', onClose).once('error', onClose)
  })
}

/** The body of an app's answer. The gate breaks it off where the app does. */
function answerBody(response: IncomingMessage, rest: Buffer, signal: AbortSignal): Readable {
  const body = new PassThrough()
  if (rest.length > 0) body.write(rest)
  response.on('error', (error: Error) =>
    body.destroy(
      signal.aborted
        ? (signal.reason as Error)
        : new FpError(
            'FP_APP_CRASHED',
            'The app closed the connection before its answer was complete. Its log may say why.',
            { cause: error },
          ),
    ),
  )
  body.on('error', () => undefined)
  body.on('close', () => response.destroy())
  return response.pipe(body)
}

function restarting(cause: Error): FpError {
  return new FpError('FP_UNAVAILABLE', 'The platform is restarting. Try again shortly.', {
    cause,
    headers: { 'retry-after': '1' },
  })
}
