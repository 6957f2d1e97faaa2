import { createActivator, ScalerError } from '@fp/scaler'
import { createProcessDriver } from '@fp/scaler/process'
import { createServer, request } from 'node:http'
import { pipeline } from 'node:stream'

const hosts = new Map([['hello.localhost', 'hello']]) // host → target
const script = `require('http').createServer((q, a) => a.end('hello ' + q.url)).listen(process.argv[1])`
const driver = createProcessDriver({
  command: (_key, { socketPath }) => ({
    command: process.execPath,
    args: ['-e', script, socketPath],
    listen: 'socket',
  }),
})
const activator = await createActivator({ driver })

const server = createServer(async (incoming, response) => {
  const key = hosts.get(incoming.headers.host?.split(':')[0] ?? '')
  if (key === undefined) return void response.writeHead(404).end('No app has this host.\n')
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  try {
    const lease = await activator.acquire(key, { signal: gone.signal })
    const { id, url } = lease.endpoint
    const { method, url: path, headers } = incoming
    // An endpoint is http://host:port or unix:/path/to.sock.
    const to =
      url.protocol === 'unix:'
        ? { socketPath: decodeURIComponent(url.pathname) }
        : { host: url.hostname, port: url.port }
    const upstream = request({ ...to, method, path, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      pipeline(answer, response, () => lease.release())
    })
    pipeline(incoming, upstream, () => undefined)
    upstream.once('error', (error: NodeJS.ErrnoException) => {
      lease.release()
      if (gone.signal.aborted) return
      activator.report(key, id, error.code === 'ECONNREFUSED' ? 'refused' : 'reset')
      if (response.headersSent) response.destroy()
      else response.writeHead(502).end()
    })
    response.once('close', () => upstream.destroy())
  } catch (error) {
    if (!gone.signal.aborted) response.writeHead(error instanceof ScalerError ? error.statusCode : 500).end()
  }
})
server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () => {
  console.log(
    `Nothing runs yet: curl -H 'host: hello.localhost' http://127.0.0.1:${(server.address() as { port: number }).port}`,
  )
})

process.once('SIGTERM', async () => {
  server.close()
  await activator.close()
  await driver[Symbol.asyncDispose]()
})
