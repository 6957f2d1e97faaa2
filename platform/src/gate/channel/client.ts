import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { FpError } from '../../errors.ts'
import type { PlatformEvent } from '../../events.ts'
import type { AppAnswer, AppRequest, Gate } from '../gate.ts'
import { passOn } from '../../pass-on.ts'
import { receiveError, type SentError } from './errors.ts'
import { firstLine, linesOf } from '../../lines.ts'
import {
  CALL_PATH,
  ERROR_TRAILER,
  EVENTS_PATH,
  type Answer,
  type CallAnswer,
  type CallHead,
  type MethodName,
  type Methods,
} from './protocol.ts'
import { awaitListener, createSocketAgent } from './socket-agent.ts'

/** ms */
const PATIENCE = 15_000
/** The default of `startPatience`, in ms. The gate may wait for its database, and then starts the runner. */
const START_PATIENCE = 150_000
/** Time between two attempts to listen for events, in ms. */
const RETRY = 200

export interface GateClient extends Gate, AsyncDisposable {}

export interface ConnectOptions {
  readonly onError: (error: Error) => void
  /** How long to wait for the gate's start, in ms. */
  readonly startPatience?: number
  /** How long a request waits for a gate that restarts, in ms. */
  readonly patience?: number
}

interface SendOptions {
  /** Sent before the body. */
  readonly head?: string
  readonly body?: string | Readable | undefined
  readonly signal?: AbortSignal | undefined
  /** Whether the request may be sent twice. */
  readonly isRepeatable?: boolean
}

/** Connects to the gate in another process of this machine. Resolves once that answers; rejects if it does not in time. */
export async function connectGate(
  path: string,
  { onError, startPatience = START_PATIENCE, patience = PATIENCE }: ConnectOptions,
): Promise<GateClient> {
  await awaitListener({ path, patience: startPatience }).catch((error: Error) => {
    throw new Error(
      `The gate has not started within ${startPatience / 1000} s: nobody listens at ${path}. Its own log says why.`,
      { cause: error },
    )
  })
  const agent = createSocketAgent({ path, patience })
  const listeners = new Set<(event: PlatformEvent) => void>()
  const closed = new AbortController()

  function send(method: 'GET' | 'POST', target: string, options: SendOptions): Promise<IncomingMessage> {
    const { head = '', body = '', signal, isRepeatable = false } = options
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const sent = httpRequest(
        { agent, path: target, method, headers: { host: 'gate' }, ...(signal && { signal }) },
        resolve,
      )
      const fail = (error: Error): void => reject(signal?.aborted ? (signal.reason as Error) : error)
      sent.on('error', (error) => {
        // The gate was just closing this idle connection.
        const again = isRepeatable && sent.reusedSocket && !signal?.aborted
        if (again) resolve(send(method, target, { ...options, isRepeatable: false }))
        else fail(restarting(error))
      })
      if (typeof body === 'string') return void sent.end(head + body)
      sent.write(head)
      body.once('error', fail)
      pipeline(body, sent).catch(() => undefined)
    })
  }

  async function ask<N extends MethodName>(
    name: N,
    args: Parameters<Methods[N]>,
    signal?: AbortSignal,
  ): Promise<ReturnType<Methods[N]>> {
    const body = JSON.stringify(args)
    const response = await send('POST', `/${name}`, { body, signal, isRepeatable: true })
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
    const kind = body === undefined ? 'none' : typeof body === 'string' ? 'text' : 'stream'
    const head = `${JSON.stringify({ ...rest, body: kind } satisfies CallHead)}\n`
    const response = await send('POST', CALL_PATH, { head, body, signal })
    const broken = (error: Error): Error => (signal.aborted ? (signal.reason as Error) : restarting(error))
    const line = await firstLine(response).catch((error: Error) => {
      throw broken(error)
    })
    const answer = JSON.parse(line) as CallAnswer
    if ('error' in answer) throw receiveError(answer.error)
    return {
      ...answer,
      body: passOn(response, { failure: (error) => (error ? broken(error) : toldError(response)) }),
    }
  }

  const openEvents = (): Promise<IncomingMessage> => send('GET', EVENTS_PATH, { signal: closed.signal })

  /** Listens until the client is closed. Events during a restart of the gate are missed. */
  async function listen(first: IncomingMessage): Promise<void> {
    for (let events: IncomingMessage | undefined = first; ; events = undefined) {
      try {
        events ??= await openEvents()
        for await (const line of linesOf(events)) {
          const event = JSON.parse(line) as PlatformEvent
          for (const listener of [...listeners]) listener(event)
        }
      } catch (error) {
        if (!closed.signal.aborted) onError(error as Error)
      }
      if (closed.signal.aborted) return
      await delay(RETRY, undefined, { signal: closed.signal, ref: false }).catch(() => undefined)
    }
  }

  const facts = await ask('facts', [])
  const listening = listen(await openEvents())
  return {
    facts,
    targets: {
      wake: (key, { signal } = {}) => ask('wake', [key], signal),
      sleep: (key) => ask('sleep', [key]),
      retire: (key) => ask('retire', [key]),
      phases: (keys) => ask('phases', [keys]),
    },
    trial: {
      async check(spec, { signal }) {
        if (spec.assets.length > 0)
          throw new Error('A trial has no assets: their contents do not pass the channel.')
        return ask('check', [spec], signal)
      },
    },
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

/** The error with which the gate ended the body of an app's answer. Undefined: the body is complete. */
function toldError({ trailers }: IncomingMessage): Error | undefined {
  const told = trailers[ERROR_TRAILER]
  if (told === undefined) return undefined
  return receiveError(JSON.parse(Buffer.from(told, 'base64url').toString()) as SentError)
}

function restarting(cause: Error): FpError {
  return new FpError('FP_UNAVAILABLE', 'The platform is restarting. Try again shortly.', {
    cause,
    headers: { 'retry-after': '1' },
  })
}
