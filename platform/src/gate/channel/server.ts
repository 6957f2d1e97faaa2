import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { listenOnSocket } from '../../listen.ts'
import type { AppAnswer, AppRequest, Gate } from '../gate.ts'
import { sendError } from './errors.ts'
import { firstLine } from '../../lines.ts'
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

/** A listener that does not read its events is disconnected when so many bytes wait for it. It then connects again. */
const MAX_UNREAD = 4 * 2 ** 20

type Handlers = {
  [N in MethodName]: (
    args: Parameters<Methods[N]>,
    signal: AbortSignal,
  ) => Promise<ReturnType<Methods[N]>> | ReturnType<Methods[N]>
}

export interface ChannelServer extends AsyncDisposable {
  /** Resolves once there are no listeners for events, so that no API process is connected. */
  unused(): Promise<void>
}

/** Serves the gate to the API's process. See `protocol.ts`. */
export async function serveGate(gate: Gate, path: string): Promise<ChannelServer> {
  const handlers: Handlers = {
    facts: () => gate.facts,
    wake: ([key], signal) => gate.targets.wake(key, { signal }),
    sleep: ([key]) => gate.targets.sleep(key),
    retire: ([key]) => gate.targets.retire(key),
    phases: ([keys]) => gate.targets.phases(keys),
    check: ([spec], signal) => gate.trial.check(spec, { signal }),
    logTail: ([appId, lines]) => gate.logs.tail(appId, { lines }),
    logNote: ([appId, line]) => gate.logs.note(appId, line),
    removeApp: ([appId]) => gate.cleanup.removeApp(appId),
    forgetRoute: ([appId]) => gate.forgetRoute(appId),
    storageProblem: async () => (await gate.storageProblem()) ?? null,
    status: () => gate.status(),
    metrics: () => gate.metrics(),
  }
  const listeners = new Set<ServerResponse>()

  async function onRequest(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (req.url === EVENTS_PATH) return sendEvents(res)
    if (req.url === CALL_PATH) return sendCall(req, res)
    const name = req.url!.slice(1)
    const gone = whenGone(res)
    const answer = await handle(name, await text(req), gone)
    if (!res.destroyed) res.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  }

  async function handle(name: string, body: string, signal: AbortSignal): Promise<Answer> {
    if (!Object.hasOwn(handlers, name))
      return { error: { type: 'other', message: `There is no method ${name}.` } }
    try {
      const handler = handlers[name as MethodName] as (args: unknown, signal: AbortSignal) => unknown
      return { result: (await handler(JSON.parse(body), signal)) ?? null }
    } catch (error) {
      return { error: sendError(error) }
    }
  }

  function sendEvents(res: ServerResponse): void {
    res.setHeader('content-type', 'application/x-ndjson').flushHeaders()
    listeners.add(res)
    const listening = gate.onEvent((event) => {
      if (res.writableLength > MAX_UNREAD) res.destroy()
      else res.write(`${JSON.stringify(event)}\n`)
    })
    res.once('close', () => {
      listening[Symbol.dispose]()
      listeners.delete(res)
    })
  }

  async function sendCall(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const signal = whenGone(res)
    const head = (line: CallAnswer): void => void res.write(`${JSON.stringify(line)}\n`)
    let answer: AppAnswer
    try {
      answer = await gate.call(await readCall(req), { signal })
    } catch (error) {
      if (res.destroyed) return
      head({ error: sendError(error) })
      return void res.end()
    }
    const { body, ...rest } = answer
    head(rest)
    res.once('close', () => body.destroy())
    try {
      for await (const piece of body) if (!res.write(piece)) await once(res, 'drain', { signal })
    } catch (error) {
      const told = JSON.stringify(sendError(error))
      res.addTrailers({ [ERROR_TRAILER]: Buffer.from(told).toString('base64url') })
    }
    res.end()
  }

  const server = createServer((req, res) => {
    req.on('error', () => undefined)
    res.on('error', () => undefined)
    onRequest(req, res).catch(() => res.destroy())
  })
  // The only client is the API process, which is trusted, so its requests need no limits.
  server.requestTimeout = 0
  server.keepAliveTimeout = 0
  server.maxHeadersCount = 0
  await listenOnSocket(server, path)

  return {
    async unused() {
      while (listeners.size > 0) await once([...listeners][0]!, 'close')
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await rm(path, { force: true })
    },
  }
}

/** Aborts when the client closes the request before it was answered. */
function whenGone(res: ServerResponse): AbortSignal {
  const gone = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) gone.abort(new Error('The API closed the request.'))
  })
  return gone.signal
}

async function readCall(req: IncomingMessage): Promise<AppRequest> {
  const { body, ...rest } = JSON.parse(await firstLine(req)) as CallHead
  if (body === 'none') return rest
  return { ...rest, body: body === 'text' ? await text(req) : req }
}
