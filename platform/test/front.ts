import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { createFront } from '../src/front/front.ts'
import { createBounds } from '../src/front/bounds.ts'
import { createApiRates } from '../src/front/rates.ts'
import { createApiBackend, type ApiBackendOptions } from '../src/gate/api-backend.ts'
import { trusts } from '../src/ingress/trust.ts'

export interface FrontWithApi {
  readonly port: number
  /** The API's, which can be stopped and started as its process would be. */
  readonly api: ApiServer
  /** Those that the API has named. */
  readonly users: string[]
  /** How many are open. */
  connections(): number
  /** How many have come to the API's side of the front. */
  requests(): number
  /** A connection to the front. */
  connect(): Socket
  /** Sends these bytes and resolves to all that comes back until the front closes the connection. */
  raw(bytes: string | Buffer): Promise<string>
}

export interface ApiServer {
  readonly server: Server
  /** As by kill -9: every connection breaks, nobody listens, the socket's file stays. */
  kill(): Promise<void>
  start(): Promise<void>
}

export interface FrontOptions extends Partial<Pick<ApiBackendOptions, 'patience'>> {
  /** Addresses of proxies. */
  readonly proxies?: readonly string[]
  /** Whether the API listens from the start. */
  readonly down?: boolean
}

/** The gate's front door with an API behind a unix socket, both in this process. Stopped at the end of the test. */
export async function startFront(api: RequestListener, options: FrontOptions = {}): Promise<FrontWithApi> {
  const folder = await mkdtemp(path.join(tmpdir(), 'fp-front-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const socket = path.join(folder, 'api.sock')
  const isProxy = trusts(options.proxies ?? false)
  const users: string[] = []
  const backend = createApiBackend({
    socket,
    trusts: isProxy,
    onSession: (sessionId, userId) => void users.push(`${userId} ${sessionId}`),
    ...(options.patience !== undefined && { patience: options.patience }),
  })
  const bounds = createBounds({
    limits: { connections: 2_000, perAddress: 0, perApp: 0 },
    rates: createApiRates({ perSecond: 0, trusts: isProxy }),
    trusts: isProxy,
  })
  let connections = 0
  let requests = 0
  backend.server.on('request', () => void requests++)
  const front = createFront({
    api: backend,
    ingress: { server: createServer() },
    cookies: { domains: [], session: 'fp_session' },
    appOf: () => undefined,
    bounds: {
      ...bounds,
      accept(opened) {
        connections++
        opened.once('close', () => connections--)
        return bounds.accept(opened)
      },
    },
  })
  const port = await front.listen({ port: 0, hosts: ['127.0.0.1'] })
  onTestFinished(async () => {
    await front.close({ grace: 0 })
    await backend[Symbol.asyncDispose]()
  })
  const running = apiServer(socket, api)
  if (!options.down) await running.start()
  onTestFinished(() => running.kill())

  const open = (): Socket => {
    const opened = connect(port, '127.0.0.1').on('error', () => undefined)
    onTestFinished(() => void opened.destroy())
    return opened
  }
  return {
    port,
    api: running,
    users,
    connections: () => connections,
    requests: () => requests,
    connect: open,
    async raw(bytes) {
      const opened = open()
      let text = ''
      opened.on('data', (data: Buffer) => (text += data.toString('latin1'))).write(bytes, 'latin1')
      await once(opened, 'close')
      return text
    },
  }
}

function apiServer(socket: string, listener: RequestListener): ApiServer {
  let server = createServer()
  return {
    get server() {
      return server
    },
    async start() {
      await rm(socket, { force: true })
      server = createServer(listener)
      server.keepAliveTimeout = 0
      server.listen(socket)
      await once(server, 'listening')
    },
    async kill() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
