import { createActivator } from '@fp/scaler'
import { scalerProxy } from '@fp/scaler/http'
import { createProcessDriver } from '@fp/scaler/process'
import Fastify from 'fastify'

const driver = createProcessDriver({
  command: (_key, { port }) => ({
    command: 'python3',
    args: ['-m', 'http.server', '--bind', '127.0.0.1', `${port}`],
    env: { PATH: process.env.PATH },
    listen: 'port',
  }),
})
const activator = await createActivator({ driver, policy: { idleTimeout: 10_000 } })
const proxy = Fastify()
await proxy.register(scalerProxy, {
  activator,
  resolve: () => Promise.resolve('files'), // the target of a request
})
const url = await proxy.listen({ port: Number(process.env.PORT ?? 8000) })
console.log(`No Python runs yet: curl -i ${url}`)

process.once('SIGINT', async () => {
  await proxy.close()
  await activator.close()
  await driver[Symbol.asyncDispose]()
})
