import { createActivator, DEFAULT_POLICY, ScalerError } from '@fp/scaler'
import { scalerProxy } from '@fp/scaler/http'
import { createProcessDriver, type ProcessPlace, type ProcessSpec } from '@fp/scaler/process'
import Fastify from 'fastify'

const PORT = Number(process.env['PORT'] ?? 3000)
/** ms without a request until a server sleeps. */
const IDLE_TIMEOUT = Number(process.env['IDLE_TIMEOUT'] ?? 10_000)
/** ms for requests under way when Ctrl-C is pressed. */
const STOP_TIMEOUT = 2_000

// Commands inherit nothing: these need to be found, and their interpreters find their own.
const env = { PATH: process.env['PATH'] }
const cwd = import.meta.dirname

/** What sleeps here, by the first part of its host name. */
const SERVERS: Record<string, (place: ProcessPlace) => ProcessSpec> = {
  files: ({ port }) => ({
    command: 'python3',
    args: ['-m', 'http.server', '--bind', '127.0.0.1', String(port)],
    listen: 'port',
    cwd,
    env,
  }),
  hello: ({ socketPath }) => ({
    command: 'node',
    args: ['servers/hello.mjs', socketPath],
    listen: 'socket',
    cwd,
    env,
  }),
  chat: ({ socketPath }) => ({
    command: 'node',
    args: ['servers/chat.mjs', socketPath],
    listen: 'socket',
    cwd,
    env,
  }),
}

const driver = createProcessDriver({
  command: (key, place) => SERVERS[key]?.(place),
  onOutput: (key, { text }) => process.stderr.write(text.replace(/^(?=.)/gm, `${key}: `)),
  stopTimeout: STOP_TIMEOUT,
})
const activator = await createActivator({
  driver,
  policy: () => ({ ...DEFAULT_POLICY, idleTimeout: IDLE_TIMEOUT }),
  observer: {
    awake: (key, { waited }) => console.log(`${key} is awake after ${waited.toFixed()} ms`),
    asleep: (key) => console.log(`${key} sleeps`),
    failed: (key, { message }) => console.error(`${key} failed: ${message}`),
  },
})

const app = Fastify()
app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
  const code = error instanceof ScalerError ? error.code : 'ERROR'
  return reply.code(error.statusCode ?? 500).send({ code, message: error.message })
})
app.get('/status', () =>
  Object.fromEntries(Object.keys(SERVERS).map((key) => [key, activator.stats(key)?.phase ?? 'asleep'])),
)
await app.register(scalerProxy, {
  activator,
  resolve(request) {
    const key = request.headers.host?.split('.')[0] ?? ''
    if (Object.hasOwn(SERVERS, key)) return Promise.resolve(key)
    const names = Object.keys(SERVERS).join(', ')
    throw Object.assign(new Error(`No server is called ${key}: there are ${names}.`), { statusCode: 404 })
  },
  closeGrace: STOP_TIMEOUT,
})
const url = new URL(await app.listen({ port: PORT, host: '127.0.0.1' }))
console.log(`Listening at http://localhost:${url.port}`)

async function stop(): Promise<void> {
  await activator.close({ signal: AbortSignal.timeout(STOP_TIMEOUT) })
  // The servers end their WebSockets before the proxy cuts them.
  await driver[Symbol.asyncDispose]()
  await app.close()
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop())
